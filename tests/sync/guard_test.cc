// The guard: a worker that is far out, or not finite, is left out of the exchange and goes on from the guide.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/ranks.h"
#include "support/test_name.h"
#include "swarmsync/sync/synchronizer.h"
#include "sync/worker.h"

namespace swarmsync {
namespace {

using testing::Floats;
using testing::FromRanks;
using testing::HandDrivenWorker;

constexpr float kNanWeight = std::numeric_limits<float>::quiet_NaN();
constexpr int kBad = 1;

bool Finite(const Floats& weights) {
  return std::all_of(weights.begin(), weights.end(), [](float w) { return std::isfinite(w); });
}

struct Fault {
  const char* label;
  Floats displacement;
  double fitness;
};

class GuardTest : public ::testing::TestWithParam<std::tuple<std::string, Fault>> {
 protected:
  const std::string& name() const { return std::get<0>(GetParam()); }
  const Fault& fault() const { return std::get<1>(GetParam()); }

  static SyncOptions Guarded() {
    SyncOptions options;
    options.guard = true;
    options.trace = true;
    return options;
  }

  // Three rounds of `workers`, of which rank kBad has the fault in the second. Weights and records by rank.
  struct Outcome {
    Floats weights;
    ExchangeRecord record;
    std::vector<RoundTrace> traces;
  };
  std::vector<Outcome> Run(const SyncOptions& options, int rounds) const {
    return FromRanks(3, [&](Communicator& comm) {
      HandDrivenWorker worker({2, 1});
      const auto sync = MakeSynchronizer(name(), worker.params(), comm, options);
      Outcome outcome;
      for (int round = 0; round < rounds; ++round) {
        const bool faulty = round == 1 && comm.rank() == kBad;
        const auto step = static_cast<float>(1 + comm.rank());
        worker.Add(faulty ? fault().displacement : Floats{step, 2, -step});
        sync->Exchange(faulty ? fault().fitness : 1.0 + 0.1 * comm.rank());
        if (round == 1) outcome.record = sync->last_exchange();
      }
      outcome.weights = worker.weights();
      outcome.traces = sync->TakeTraces();
      return outcome;
    });
  }
};

std::vector<std::string> Guardable() {
  std::vector<std::string> names = SynchronizerNames();
  names.erase(std::find(names.begin(), names.end(), "ssgd"));
  return names;
}

INSTANTIATE_TEST_SUITE_P(Names, GuardTest,
                         ::testing::Combine(::testing::ValuesIn(Guardable()),
                                            ::testing::Values(Fault{"NanWeights", {kNanWeight, 0, 0}, 1.0},
                                                              Fault{"NanFitness", {1, 1, 1}, std::nan("")},
                                                              Fault{"HighLoss", {1e3, -1e3, 1e3}, 50.0},
                                                              Fault{"FarAway", {1e3, -1e3, 1e3}, 1.0})),
                         [](const auto& info) {
                           return testing::TestName(std::get<0>(info.param) + "_" +
                                                    std::get<1>(info.param).label);
                         });

TEST_P(GuardTest, TheWorkerIsLeftOutAndGoesOnFromTheGuide) {
  const auto outcomes = Run(Guarded(), 3);
  for (const Outcome& outcome : outcomes) {
    EXPECT_TRUE(Finite(outcome.weights));
    for (const float weight : outcome.weights) EXPECT_LT(std::abs(weight), 50) << "the far one was heard";
    EXPECT_EQ(outcome.record.left_out, std::vector<int>{kBad});
  }
  ASSERT_EQ(outcomes[kBad].traces.size(), 3u);
  EXPECT_FALSE(outcomes[kBad].traces[0].left_out);
  EXPECT_TRUE(outcomes[kBad].traces[1].left_out);
  EXPECT_FALSE(outcomes[kBad].traces[2].left_out) << "it works again";
  EXPECT_FALSE(outcomes[0].traces[1].left_out);
}

TEST_P(GuardTest, WithoutTheGuardNobodyIsLeftOut) {
  for (const Outcome& outcome : Run({}, 3)) EXPECT_TRUE(outcome.record.left_out.empty());
}

TEST_P(GuardTest, AHealthySwarmTrainsAsWithoutTheGuard) {
  const auto guarded = Run(Guarded(), 1), plain = Run({}, 1);  // the fault comes in the second round
  for (std::size_t rank = 0; rank < plain.size(); ++rank)
    EXPECT_EQ(guarded[rank].weights, plain[rank].weights);
}

TEST(Guard, WhenNobodyIsWellNobodyIsLeftOut) {
  for (const std::string& name : Guardable()) {
    SyncOptions options;
    options.guard = true;
    FromRanks(3, [&](Communicator& comm) {
      HandDrivenWorker worker({2});
      const auto sync = MakeSynchronizer(name, worker.params(), comm, options);
      worker.Add({kNanWeight, kNanWeight});
      sync->Exchange(std::nan(""));
      EXPECT_TRUE(sync->last_exchange().left_out.empty()) << name;
      return 0;
    });
  }
}

// Without the guard too: the loss of the steps may be finite though the last of them broke the weights.
TEST(Swarm, WeightsThatAreNotFiniteAreNoGuide) {
  for (const std::string name : {"pso-ps", "informed-pso-ps", "leader"}) {
    const auto weights = FromRanks(3, [&](Communicator& comm) {
      HandDrivenWorker worker({2});
      const auto sync = MakeSynchronizer(name, worker.params(), comm);
      worker.Add(comm.rank() == kBad ? Floats{kNanWeight, 1} : Floats{1, 1});
      sync->Exchange(comm.rank() == kBad ? 0.1 : 1.0);
      return worker.weights();
    });
    EXPECT_TRUE(Finite(weights[0])) << name;
    EXPECT_TRUE(Finite(weights[2])) << name;
  }
}

TEST(Guard, ClearsTheMomentumOfTheWorkerThatIsLeftOutAndOfNoOther) {
  SyncOptions options;
  options.guard = true;
  options.period = 1;
  FromRanks(3, [&](Communicator& comm) {
    HandDrivenWorker worker({2});
    const auto sync = MakeSynchronizer("average", worker.params(), comm, options);
    torch::optim::SGD optimizer(worker.parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
    const float slope = comm.rank() == kBad ? kNanWeight : 1;
    worker.SetGradients({slope, slope});
    sync->Step(optimizer, torch::ones({}));
    EXPECT_EQ(optimizer.state().empty(), comm.rank() == kBad);
    worker.SetGradients({1, 1});
    sync->Step(optimizer, torch::ones({}));
    EXPECT_TRUE(Finite(worker.weights()));
    return 0;
  });
}

TEST(Guard, JudgesByTheProbeWhereThereIsOne) {
  const auto left_out = FromRanks(3, [](Communicator& comm) {
    HandDrivenWorker worker({2});
    SyncOptions options;
    options.guard = true;
    options.probe = [&] { return comm.rank() == 2 ? 9.0 : 1.0; };
    const auto sync = MakeSynchronizer("average", worker.params(), comm, options);
    sync->Exchange(comm.rank() == 0 ? 9.0 : 1.0);
    return sync->last_exchange().left_out;
  });
  EXPECT_EQ(left_out, std::vector<std::vector<int>>(3, {2}));
}

}  // namespace
}  // namespace swarmsync
