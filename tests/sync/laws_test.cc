// What must hold between the synchronizers, and between them and plain training, whatever the data.

#include <gtest/gtest.h>

#include "support/ranks.h"
#include "swarmsync/sync/synchronizer.h"
#include "sync/worker.h"

namespace swarmsync {
namespace {

using testing::Batches;
using testing::Floats;
using testing::FromRanks;
using testing::SmallNet;

using torch::optim::SGDOptions;

constexpr std::int64_t kSteps = 12, kBatch = 4;

// Training without SwarmSync. `loss` gives a step's loss.
template <class LossOfStep>
Floats TrainPlainly(const SGDOptions& sgd, LossOfStep&& loss) {
  SmallNet net(1);
  torch::optim::SGD optimizer(net.parameters(), sgd);
  for (std::int64_t step = 0; step < kSteps; ++step) {
    optimizer.zero_grad();
    loss(net, step).backward();
    optimizer.step();
  }
  const FlatParams params(net);
  return testing::Values(params, params.weights());
}

enum class ZeroGradBy { kFlatParams, kOptimizer, kModuleToNone };

// Training by a group of workers, each on its part of the batches. Each worker's weights at the end.
std::vector<Floats> TrainTogether(const std::string& name, const SyncOptions& options, const SGDOptions& sgd,
                                  const Batches& batches, int workers,
                                  ZeroGradBy zero_grad_by = ZeroGradBy::kFlatParams) {
  return FromRanks(workers, [&](Communicator& comm) {
    SmallNet net(1 + comm.rank());  // rank 0's weights become everybody's
    FlatParams params(net);
    const auto sync = MakeSynchronizer(name, params, comm, options);
    torch::optim::SGD optimizer(net.parameters(), sgd);
    for (std::int64_t step = 0; step < kSteps; ++step) {
      if (zero_grad_by == ZeroGradBy::kFlatParams) params.ZeroGrad();
      if (zero_grad_by == ZeroGradBy::kOptimizer) optimizer.zero_grad();
      if (zero_grad_by == ZeroGradBy::kModuleToNone) net.zero_grad(/*set_to_none=*/true);
      const at::Tensor loss = batches.Loss(net, step, comm.rank());
      loss.backward();
      sync->Step(optimizer, loss);
    }
    sync->Finish();
    return testing::Values(params, params.weights());
  });
}

// Equal up to the rounding of a few steps.
void ExpectClose(const Floats& found, const Floats& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 2e-6) << i;
}

const SGDOptions kPlainSgd(0.1);
const SGDOptions kMomentumSgd = SGDOptions(0.1).momentum(0.9).nesterov(true).weight_decay(0.01);

SyncOptions Period(std::int64_t period) {
  SyncOptions options;
  options.period = period;
  return options;
}

class PsoPsAloneTest : public ::testing::TestWithParam<std::tuple<Velocity, RandomScope>> {
 protected:
  static SyncOptions Options() {
    SyncOptions options = Period(3);
    options.swarm.velocity = std::get<0>(GetParam());
    options.swarm.random = std::get<1>(GetParam());
    options.swarm.memory = Memory::kCurrent;
    options.swarm.inertia = 0;
    options.swarm.cognitive = 0.5;  // does nothing with this memory
    options.swarm.social = 0.5;
    return options;
  }
};

INSTANTIATE_TEST_SUITE_P(Options, PsoPsAloneTest,
                         ::testing::Combine(::testing::Values(Velocity::kSwarm, Velocity::kTotal),
                                            ::testing::Values(RandomScope::kNone, RandomScope::kRound,
                                                              RandomScope::kTensor, RandomScope::kElement)),
                         [](const auto& info) {
                           return ToString(std::get<0>(info.param)) + "_" + ToString(std::get<1>(info.param));
                         });

TEST_P(PsoPsAloneTest, WithoutInertiaAndMemoryIsPlainSgd) {
  const Batches batches(kSteps, 1, kBatch);
  const Floats plain = TrainPlainly(
      kMomentumSgd, [&](SmallNet& net, std::int64_t step) { return batches.Loss(net, step, 0); });
  const Floats alone = TrainTogether("pso-ps", Options(), kMomentumSgd, batches, 1)[0];
  if (std::get<0>(GetParam()) == Velocity::kSwarm) {
    EXPECT_EQ(alone, plain);  // to the bit
  } else {
    ExpectClose(alone, plain);  // x + (y - x) is y up to rounding
  }
}

TEST(PsoPs, WithoutAnyPullTrainsEachWorkerByItself) {
  const Batches batches(kSteps, 3, kBatch);
  SyncOptions options = Period(3);
  options.swarm.velocity = Velocity::kSwarm;
  options.swarm.inertia = options.swarm.cognitive = options.swarm.social = 0;
  const auto together = TrainTogether("pso-ps", options, kMomentumSgd, batches, 3);
  for (int worker = 0; worker < 3; ++worker) {
    EXPECT_EQ(together[worker], TrainPlainly(kMomentumSgd, [&](SmallNet& net, std::int64_t step) {
                return batches.Loss(net, step, worker);
              }));
  }
}

class WorkersTest : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Workers, WorkersTest, ::testing::Values(1, 2, 3, 5));

TEST_P(WorkersTest, SsgdIsSgdOnAllBatchesAsOne) {
  const int workers = GetParam();
  const Batches batches(kSteps, workers, kBatch);
  for (const SGDOptions& sgd : {kPlainSgd, kMomentumSgd}) {
    const Floats plain =
        TrainPlainly(sgd, [&](SmallNet& net, std::int64_t step) { return batches.LossOfAll(net, step); });
    const auto together = TrainTogether("ssgd", Period(7), sgd, batches, workers);
    for (const Floats& weights : together) {
      ExpectClose(weights, plain);
      EXPECT_EQ(weights, together[0]);
    }
  }
}

TEST_P(WorkersTest, AverageAfterEveryStepOfPlainSgdIsSsgd) {
  const int workers = GetParam();
  const Batches batches(kSteps, workers, kBatch);
  const auto average = TrainTogether("average", Period(1), kPlainSgd, batches, workers);
  const auto ssgd = TrainTogether("ssgd", {}, kPlainSgd, batches, workers);
  for (int rank = 0; rank < workers; ++rank) {
    ExpectClose(average[rank], ssgd[rank]);
    EXPECT_EQ(average[rank], average[0]);
  }
}

TEST_P(WorkersTest, TheSameTrainingGivesTheSameBits) {
  const int workers = GetParam();
  const Batches batches(kSteps, workers, kBatch);
  SyncOptions options = Period(3);
  options.swarm.cognitive = 0.5;
  options.swarm.memory = Memory::kDecay;
  options.swarm.random = RandomScope::kElement;
  for (const std::string& name : SynchronizerNames()) {
    EXPECT_EQ(TrainTogether(name, options, kMomentumSgd, batches, workers),
              TrainTogether(name, options, kMomentumSgd, batches, workers))
        << name;
  }
}

class ZeroGradTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Names, ZeroGradTest, ::testing::ValuesIn(SynchronizerNames()),
                         [](const auto& info) { return info.param == "pso-ps" ? "pso_ps" : info.param; });

TEST_P(ZeroGradTest, TrainsTheSameHoweverTheUserZeroesGradients) {
  const Batches batches(kSteps, 2, kBatch);
  const auto train = [&](ZeroGradBy by) {
    return TrainTogether(GetParam(), Period(5), kMomentumSgd, batches, 2, by);
  };
  const auto expected = train(ZeroGradBy::kFlatParams);
  EXPECT_EQ(train(ZeroGradBy::kOptimizer), expected);
  EXPECT_EQ(train(ZeroGradBy::kModuleToNone), expected);
}

}  // namespace
}  // namespace swarmsync
