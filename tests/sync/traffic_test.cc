// Which collectives an exchange makes and how many bytes they send: the cost that a synchronizer is chosen
// for.

#include <gtest/gtest.h>

#include <cmath>

#include "support/ranks.h"
#include "swarmsync/comm/counting_communicator.h"
#include "swarmsync/sync/synchronizer.h"
#include "sync/worker.h"

namespace swarmsync {
namespace {

using testing::HandDrivenWorker;

constexpr std::int64_t kFloat = 4, kDouble = 8;    // bytes
constexpr std::int64_t kFlatSize = 16 + 16 + 704;  // of tensors of 3, 1 and 700

// What a call added to the counts.
class Meter {
 public:
  explicit Meter(const CountingCommunicator& comm) : comm_(comm), before_(comm.traffic()) {}

  void ExpectSince(std::int64_t all_reduces, std::int64_t broadcasts, std::int64_t all_gathers,
                   std::int64_t bytes) {
    const Traffic& now = comm_.traffic();
    EXPECT_EQ(now.all_reduces - before_.all_reduces, all_reduces);
    EXPECT_EQ(now.broadcasts - before_.broadcasts, broadcasts);
    EXPECT_EQ(now.all_gathers - before_.all_gathers, all_gathers);
    EXPECT_EQ(now.bytes_all_ranks - before_.bytes_all_ranks, bytes);
    before_ = now;
  }

 private:
  const CountingCommunicator& comm_;
  Traffic before_;
};

class TrafficTest : public ::testing::TestWithParam<int> {
 protected:
  std::int64_t workers() const { return GetParam(); }
  std::int64_t AllReduce(std::int64_t bytes) const { return 2 * (workers() - 1) * bytes; }
  std::int64_t Broadcast(std::int64_t bytes) const { return (workers() - 1) * bytes; }
  std::int64_t AllGather(std::int64_t bytes) const { return workers() * (workers() - 1) * bytes; }

  // Calls `drive` on every rank with a synchronizer that is ready.
  template <class Drive>
  void Run(const std::string& name, const SyncOptions& options, Drive&& drive) {
    testing::RunRanks(GetParam(), [&](Communicator& comm) {
      CountingCommunicator counting(comm);
      HandDrivenWorker worker({3, 1, 700});
      const auto sync = MakeSynchronizer(name, worker.params(), counting, options);
      EXPECT_EQ(worker.params().weights().numel(), kFlatSize);
      drive(worker, *sync, Meter(counting), comm.rank());
    });
  }
};

INSTANTIATE_TEST_SUITE_P(Workers, TrafficTest, ::testing::Range(1, 6));

TEST_P(TrafficTest, SsgdAllReducesTheGradientsAtEveryStepAndNothingElse) {
  SyncOptions options;
  options.period = 3;
  Run("ssgd", options, [&](HandDrivenWorker& worker, Synchronizer& sync, Meter meter, int) {
    torch::optim::SGD optimizer(worker.parameters(), 0.1);
    for (int step = 0; step < 4; ++step) {
      sync.Step(optimizer, torch::ones({}));
      meter.ExpectSince(1, 0, 0, AllReduce((kFlatSize + 1) * kFloat));
    }
    sync.Exchange(1.0);
    meter.ExpectSince(0, 0, 0, 0);
  });
}

TEST_P(TrafficTest, AverageAllReducesTheWeightsOnceARoundAndNothingElse) {
  SyncOptions options;
  options.period = 3;
  Run("average", options, [&](HandDrivenWorker& worker, Synchronizer& sync, Meter meter, int) {
    torch::optim::SGD optimizer(worker.parameters(), 0.1);
    for (int step = 1; step <= 6; ++step) {
      sync.Step(optimizer, torch::ones({}));
      const bool exchanges = step % 3 == 0;
      meter.ExpectSince(exchanges, 0, 0, exchanges ? AllReduce((kFlatSize + 1) * kFloat) : 0);
    }
  });
}

TEST_P(TrafficTest, ThePeersOfAverageSendWhatAverageSends) {
  SyncOptions options;
  options.period = 3;
  for (const char* name : {"easgd", "slowmo", "diloco"}) {
    Run(name, options, [&](HandDrivenWorker& worker, Synchronizer& sync, Meter meter, int) {
      torch::optim::SGD optimizer(worker.parameters(), 0.1);
      for (int step = 1; step <= 6; ++step) {
        sync.Step(optimizer, torch::ones({}));
        const bool exchanges = step % 3 == 0;
        meter.ExpectSince(exchanges, 0, 0, exchanges ? AllReduce((kFlatSize + 1) * kFloat) : 0);
      }
    });
  }
}

TEST_P(TrafficTest, InformedPsoPsGathersOneNumberAndAllReducesTheWeights) {
  Run("informed-pso-ps", {}, [&](HandDrivenWorker&, Synchronizer& sync, Meter meter, int rank) {
    sync.Exchange(2.0 + rank);
    meter.ExpectSince(1, 0, 1, AllGather(kDouble) + AllReduce(kFlatSize * kFloat));
    sync.Exchange(std::nan(""));  // nobody knows a guide
    meter.ExpectSince(0, 0, 1, AllGather(kDouble));
  });
}

TEST_P(TrafficTest, LeaderGathersOneNumberAndBroadcastsTheBest) {
  Run("leader", {}, [&](HandDrivenWorker&, Synchronizer& sync, Meter meter, int rank) {
    sync.Exchange(2.0 + rank);
    meter.ExpectSince(0, 1, 1, AllGather(kDouble) + Broadcast(kFlatSize * kFloat));
    sync.Exchange(std::nan(""));
    meter.ExpectSince(0, 0, 1, AllGather(kDouble));
  });
}

TEST_P(TrafficTest, TheGuardGathersTwoNumbersMore) {
  for (const std::string& name : SynchronizerNames()) {
    if (name == "ssgd") continue;
    Traffic plain, guarded;
    for (const bool guard : {false, true}) {
      SyncOptions options;
      options.guard = guard;
      testing::RunRanks(GetParam(), [&](Communicator& comm) {
        CountingCommunicator counting(comm);
        HandDrivenWorker worker({3, 1, 700});
        const auto sync = MakeSynchronizer(name, worker.params(), counting, options);
        const Traffic before = counting.traffic();
        sync->Exchange(1.0);
        if (comm.rank() != 0) return;
        Traffic& result = guard ? guarded : plain;
        result = counting.traffic();
        result.all_gathers -= before.all_gathers;
        result.bytes_all_ranks -= before.bytes_all_ranks;
      });
    }
    EXPECT_EQ(guarded.all_gathers, plain.all_gathers + 1) << name;
    EXPECT_EQ(guarded.bytes_all_ranks, plain.bytes_all_ranks + AllGather(2 * kDouble)) << name;
  }
}

TEST_P(TrafficTest, PsoPsGathersOneNumberAndBroadcastsTheBestOnceARound) {
  SyncOptions options;
  options.period = 2;
  options.swarm.memory = Memory::kCurrent;
  Run("pso-ps", options, [&](HandDrivenWorker& worker, Synchronizer& sync, Meter meter, int rank) {
    torch::optim::SGD optimizer(worker.parameters(), 0.1);
    for (int step = 1; step <= 6; ++step) {
      sync.Step(optimizer, torch::full({}, 1.0 + rank));
      const bool exchanges = step % 2 == 0;
      meter.ExpectSince(0, exchanges, exchanges,
                        exchanges ? AllGather(kDouble) + Broadcast(kFlatSize * kFloat) : 0);
    }
  });
}

TEST_P(TrafficTest, PsoPsBroadcastsOnlyWhenTheGlobalBestMoved) {
  SyncOptions options;
  options.swarm.memory = Memory::kHistoric;
  options.swarm.cognitive = 0.5;
  Run("pso-ps", options, [&](HandDrivenWorker&, Synchronizer& sync, Meter meter, int rank) {
    const std::int64_t gather = AllGather(kDouble), moved = gather + Broadcast(kFlatSize * kFloat);
    sync.Exchange(2.0 + rank);
    meter.ExpectSince(0, 1, 1, moved);
    sync.Exchange(2.0 + rank);  // equal is not better
    meter.ExpectSince(0, 0, 1, gather);
    sync.Exchange(3.0 - rank * 0.01);
    meter.ExpectSince(0, 0, 1, gather);
    sync.Exchange(1.0 - rank * 0.01);
    meter.ExpectSince(0, 1, 1, moved);
    sync.Exchange(std::nan(""));
    meter.ExpectSince(0, 0, 1, gather);
  });
}

TEST_P(TrafficTest, PsoPsBroadcastsNothingWithoutASocialPull) {
  SyncOptions options;
  options.swarm.social = 0;
  options.swarm.cognitive = 0.5;
  options.swarm.memory = Memory::kDecay;
  Run("pso-ps", options, [&](HandDrivenWorker&, Synchronizer& sync, Meter meter, int rank) {
    for (const double fitness : {3.0, 2.0, 1.0}) {
      sync.Exchange(fitness + rank);
      meter.ExpectSince(0, 0, 1, AllGather(kDouble));
    }
  });
}

TEST_P(TrafficTest, NothingIsSentWhenTheTrainingEndedAtItsLastStep) {
  SyncOptions options;
  options.period = 2;
  options.total_steps = 3;
  for (const std::string& name : SynchronizerNames()) {
    Run(name, options, [&](HandDrivenWorker& worker, Synchronizer& sync, Meter meter, int) {
      torch::optim::SGD optimizer(worker.parameters(), 0.1);
      for (int step = 0; step < 3; ++step) sync.Step(optimizer, torch::full({}, std::nan("")));
      const std::int64_t weights = (kFlatSize + 1) * kFloat;
      if (name == "ssgd") meter.ExpectSince(3, 0, 0, 3 * AllReduce(weights));
      if (name == "average" || name == "slowmo" || name == "diloco" || name == "easgd") {
        meter.ExpectSince(2, 0, 0, 2 * AllReduce(weights));
      }
      if (name == "pso-ps" || name == "leader" || name == "informed-pso-ps")
        meter.ExpectSince(0, 0, 2, 2 * AllGather(kDouble));
      sync.Finish();
      meter.ExpectSince(0, 0, 0, 0);
    });
  }
}

}  // namespace
}  // namespace swarmsync
