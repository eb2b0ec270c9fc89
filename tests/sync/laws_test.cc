// What must hold between the synchronizers, and between them and plain training, whatever the data.

#include <gtest/gtest.h>

#include "support/ranks.h"
#include "support/test_name.h"
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
                         ::testing::Combine(::testing::Values(Velocity::kSwarm, Velocity::kTotal,
                                                              Velocity::kNesterov),
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
  if (std::get<0>(GetParam()) == Velocity::kTotal) {
    ExpectClose(alone, plain);  // x + (y - x) is y up to rounding
  } else {
    EXPECT_EQ(alone, plain);  // to the bit
  }
}

TEST(PsoPs, WithoutAnyPullTrainsEachWorkerByItself) {
  const Batches batches(kSteps, 3, kBatch);
  SyncOptions options = Period(3);
  options.swarm.velocity = Velocity::kSwarm;
  options.swarm.inertia = 0;
  options.swarm.social = 0;
  options.swarm.cognitive = 0;
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

// By name and options, training that must come to the same.
struct SameAs {
  const char* label;
  const char* name;
  SyncOptions options;
  const char* other;
  SyncOptions other_options;
};

SyncOptions Informed(double inertia, double social, double beta) {
  SyncOptions options = Period(3);
  options.swarm.inertia = inertia;
  options.swarm.social = social;
  options.swarm.beta = beta;
  return options;
}

SyncOptions Nesterov(SyncOptions options) {
  options.swarm.velocity = Velocity::kNesterov;
  return options;
}

SyncOptions Slow(double alpha, double beta) {
  SyncOptions options = Period(3);
  options.peers.slow_alpha = alpha;
  options.peers.slow_beta = beta;
  return options;
}

SyncOptions Outer(double lr, double momentum) {
  SyncOptions options = Period(3);
  options.peers.outer_lr = lr;
  options.peers.outer_momentum = momentum;
  return options;
}

SyncOptions Pull(double social) {
  SyncOptions options = Period(3);
  options.swarm.velocity = Velocity::kSwarm;
  options.swarm.memory = Memory::kCurrent;
  options.swarm.inertia = 0;
  options.swarm.cognitive = 0;
  options.swarm.social = social;
  return options;
}

class SameTest : public ::testing::TestWithParam<SameAs> {};
INSTANTIATE_TEST_SUITE_P(
    Laws, SameTest,
    ::testing::Values(SameAs{"SlowMoWithoutMomentumIsAverage", "slowmo", Slow(1, 0), "average", Period(3)},
                      SameAs{"DiLoCoWithoutMomentumIsAverage", "diloco", Outer(1, 0), "average", Period(3)},
                      SameAs{"InformedWithoutInertiaIsAverage", "informed-pso-ps", Informed(0, 1, 0),
                             "average", Period(3)},
                      SameAs{"InformedWithAFullPullIsSlowMo", "informed-pso-ps", Informed(0.6, 1, 0),
                             "slowmo", Slow(1, 0.6)},
                      SameAs{"InformedWithAFullPullOfNesterovIsDiLoCo", "informed-pso-ps",
                             Nesterov(Informed(0.6, 1, 0)), "diloco", Outer(1, 0.6)},
                      SameAs{"LeaderIsPsoPsWithItsPullAlone", "leader", Pull(0.4), "pso-ps", Pull(0.4)}),
    [](const auto& info) { return info.param.label; });

TEST_P(SameTest, ToRounding) {
  const SameAs& law = GetParam();
  for (const int workers : {1, 2, 3, 5}) {
    const Batches batches(kSteps, workers, kBatch);
    const auto found = TrainTogether(law.name, law.options, kMomentumSgd, batches, workers);
    const auto expected = TrainTogether(law.other, law.other_options, kMomentumSgd, batches, workers);
    for (int rank = 0; rank < workers; ++rank) ExpectClose(found[rank], expected[rank]);
  }
}

// For any c2 the mean of the workers moves like SlowMo's, or DiLoCo's, when all displacements are the same as
// there: so on given displacements, not gradients.
TEST(InformedPsoPs, TheMeanOfTheWorkersMovesLikeThePeersForAnyPull) {
  constexpr int kWorkers = 3;
  const auto mean_after = [&](const std::string& name, const SyncOptions& options) {
    const auto weights = FromRanks(kWorkers, [&](Communicator& comm) {
      testing::HandDrivenWorker worker({4});
      const auto sync = MakeSynchronizer(name, worker.params(), comm, options);
      for (int round = 1; round <= 4; ++round) {
        const auto d = static_cast<float>(round * (comm.rank() + 1));
        worker.Add({d, -d, 0.5f * d * d, 1});
        sync->Exchange(1.0 + comm.rank());
      }
      return worker.weights();
    });
    Floats mean(4);
    for (const Floats& worker : weights) {
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += worker[i] / kWorkers;
    }
    return mean;
  };
  const Floats slowmo = mean_after("slowmo", Slow(1, 0.6)), diloco = mean_after("diloco", Outer(1, 0.6));
  for (const double social : {0.0, 0.3, 1.0, 1.5}) {
    const SyncOptions options = Informed(0.6, social, 0);
    const Floats total = mean_after("informed-pso-ps", options);
    const Floats nesterov = mean_after("informed-pso-ps", Nesterov(options));
    for (std::size_t i = 0; i < slowmo.size(); ++i) {
      EXPECT_NEAR(total[i], slowmo[i], 1e-4) << social;
      EXPECT_NEAR(nesterov[i], diloco[i], 1e-4) << social;
    }
  }
}

// diloco over SGD is BMUF with Nesterov block momentum, which Chen and Huo state with the weights that the
// workers begin a round with, W' = W + mu Delta: Delta <- mu Delta + zeta (mean - W'_before), W <- W + Delta.
TEST(DiLoCo, IsBlockMomentumOfNesterov) {
  constexpr double kMomentum = 0.6, kLr = 0.7;
  const auto displacement = [](int round, int rank) { return static_cast<float>(round * round - 2 * rank); };
  const auto found = FromRanks(2, [&](Communicator& comm) {
    testing::HandDrivenWorker worker({1});
    const auto sync = MakeSynchronizer("diloco", worker.params(), comm, Outer(kLr, kMomentum));
    for (int round = 0; round < 5; ++round) {
      worker.Add({displacement(round, comm.rank())});
      sync->Exchange(0);
    }
    return worker.weights();
  });
  double begin = 0, weights = 0, delta = 0;
  for (int round = 0; round < 5; ++round) {
    const double mean_move = (displacement(round, 0) + displacement(round, 1)) / 2.0;
    delta = kMomentum * delta + kLr * mean_move;
    weights += delta;
    begin = weights + kMomentum * delta;
  }
  // Here the position is W' itself, and SGD's Nesterov step keeps W' = sum of (d + mu u): the same sequence.
  EXPECT_NEAR(found[0][0], begin, 1e-4);
  EXPECT_EQ(found[0], found[1]);
}

TEST_P(WorkersTest, AfterTheWarmUpEverySynchronizerGoesOnFromSsgd) {
  const int workers = GetParam();
  const Batches batches(kSteps, workers, kBatch);
  const auto ssgd = TrainTogether("ssgd", {}, kMomentumSgd, batches, workers);
  for (const std::string& name : SynchronizerNames()) {
    SyncOptions options = Period(3);
    options.warmup_steps = kSteps;  // nothing but warm-up
    EXPECT_EQ(TrainTogether(name, options, kMomentumSgd, batches, workers), ssgd) << name;
    options.warmup_steps = kSteps - 2;  // and then a partial round, ended by Finish()
    const auto local = TrainTogether(name, options, kMomentumSgd, batches, workers);
    if (workers > 1 && name != "ssgd") {
      EXPECT_NE(local, ssgd) << name;
    }
    // A forgotten beginning of the first round would lead far away.
    for (int rank = 0; rank < workers; ++rank) {
      for (std::size_t i = 0; i < ssgd[rank].size(); ++i)
        EXPECT_NEAR(local[rank][i], ssgd[rank][i], 0.25) << name;
    }
  }
}

class ZeroGradTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Names, ZeroGradTest, ::testing::ValuesIn(SynchronizerNames()),
                         [](const auto& info) { return testing::TestName(info.param); });

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
