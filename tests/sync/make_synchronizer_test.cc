#include <gtest/gtest.h>

#include <functional>

#include "comm/passing_communicator.h"
#include "support/errors.h"
#include "support/ranks.h"
#include "swarmsync/base/error.h"
#include "swarmsync/sync/synchronizer.h"
#include "sync/worker.h"

namespace swarmsync {
namespace {

using testing::Floats;
using testing::FromRanks;
using testing::HandDrivenWorker;
using testing::MessageOf;
using testing::RunRanks;

TEST(MakeSynchronizer, KnowsItsNames) {
  EXPECT_EQ(SynchronizerNames(), (std::vector<std::string>{"average", "diloco", "easgd", "informed-pso-ps",
                                                           "leader", "pso-ps", "slowmo", "ssgd"}));
  RunRanks(1, [](Communicator& comm) {
    for (const std::string& name : SynchronizerNames()) {
      HandDrivenWorker worker({3});
      EXPECT_EQ(MakeSynchronizer(name, worker.params(), comm)->name(), name);
    }
  });
}

TEST(MakeSynchronizer, EverybodyStartsFromRankZerosWeights) {
  for (const std::string& name : SynchronizerNames()) {
    const auto weights = FromRanks(4, [&](Communicator& comm) {
      HandDrivenWorker worker({2, 1});
      worker.SetWeights({1.0f + comm.rank(), 2, 3.0f * comm.rank()});
      MakeSynchronizer(name, worker.params(), comm);
      return worker.weights();
    });
    EXPECT_EQ(weights, std::vector<Floats>(4, {1, 2, 0})) << name;
  }
}

TEST(MakeSynchronizer, TakesBackParametersThatStrayedBefore) {
  const auto weights = FromRanks(2, [&](Communicator& comm) {
    HandDrivenWorker worker({2});
    worker.parameters()[0].set_data(torch::full({2}, 5.0f + comm.rank()));
    MakeSynchronizer("average", worker.params(), comm);
    EXPECT_EQ(worker.parameters()[0][0].item<float>(), 5);
    return worker.weights();
  });
  EXPECT_EQ(weights, std::vector<Floats>(2, {5, 5}));
}

std::string RefusalOf(const std::string& name, const SyncOptions& options) {
  std::string message;
  RunRanks(1, [&](Communicator& comm) {
    HandDrivenWorker worker({3});
    message = MessageOf<UsageError>([&] { MakeSynchronizer(name, worker.params(), comm, options); });
  });
  return message;
}

SyncOptions DefaultsAt(const char* name, std::int64_t period, double local_momentum) {
  SyncOptions options;
  options.period = period;
  options.local_momentum = local_momentum;
  return WithDefaults(name, options);
}

TEST(WithDefaults, AnInertiaLeftOpenIsLessWherePeriodsAreLong) {
  const auto inertia = [](const char* name, std::int64_t period) {
    return DefaultsAt(name, period, 0).swarm.inertia.value();
  };
  // 1 - 0.3 (period / 16)^(1/3), to two digits, at least 0.3 and at most 0.7 or 0.85.
  for (const char* name : {"pso-ps", "informed-pso-ps"}) {
    EXPECT_EQ(inertia(name, 16), 0.7) << name;
    EXPECT_EQ(inertia(name, 64), 0.52) << name;
    EXPECT_EQ(inertia(name, 128), 0.4) << name;
    EXPECT_EQ(inertia(name, 1'000'000), 0.3) << name;
  }
  EXPECT_EQ(inertia("informed-pso-ps", 4), 0.81);
  EXPECT_EQ(inertia("informed-pso-ps", 1), 0.85);
  EXPECT_EQ(inertia("pso-ps", 4), 0.7);
  EXPECT_EQ(inertia("leader", 16), 0);

  SyncOptions given;
  given.period = 64;
  given.swarm.inertia = 0.9;
  EXPECT_EQ(WithDefaults("pso-ps", given).swarm.inertia.value(), 0.9);
}

TEST(WithDefaults, AnInertiaLeftOpenIsLessBesideALocalMomentum) {
  const auto inertia = [](const char* name, std::int64_t period, double local_momentum) {
    return DefaultsAt(name, period, local_momentum).swarm.inertia.value();
  };
  EXPECT_EQ(inertia("pso-ps", 4, 0.9), 0.28) << "0.7 · 0.4";
  EXPECT_EQ(inertia("pso-ps", 16, 0.9), 0.28);
  EXPECT_EQ(inertia("pso-ps", 64, 0.6), 0.31) << "0.5238 · 0.6";
  // Where the workers begin together, 0.6 (period / 16)^(-1/4) of it is done within the rounds.
  EXPECT_EQ(inertia("informed-pso-ps", 1, 0.9), 0) << "more than all of it";
  EXPECT_EQ(inertia("informed-pso-ps", 4, 0.9), 0.12) << "0.8110 · 0.1515";
  EXPECT_EQ(inertia("informed-pso-ps", 16, 0.9), 0.28) << "0.7 · 0.4";
  EXPECT_EQ(inertia("informed-pso-ps", 64, 0.9), 0.3) << "0.5238 · 0.5757";
  EXPECT_EQ(DefaultsAt("slowmo", 4, 0.9).peers.slow_beta, 0.12);
}

TEST(WithDefaults, PsoPsPullsMoreWherePeriodsAreLong) {
  const auto social = [](const char* name, std::int64_t period) {
    return DefaultsAt(name, period, 0).swarm.social;
  };
  EXPECT_EQ(social("pso-ps", 1), 0.1);
  EXPECT_EQ(social("pso-ps", 16), 0.1);
  EXPECT_EQ(social("pso-ps", 32), 0.17) << "0.1 · 2^0.8";
  EXPECT_EQ(social("pso-ps", 64), 0.3);
  EXPECT_EQ(social("pso-ps", 1000), 0.3);
  for (const std::int64_t period : {1, 64}) {
    EXPECT_EQ(social("leader", period), 0.2);
    EXPECT_EQ(social("informed-pso-ps", period), 1);
    EXPECT_EQ(social("average", period), 0) << "it has none";
  }
}

TEST(WithDefaults, SlowMosBetaFollowsTheSameRule) {
  for (const std::int64_t period : {1, 4, 16, 64, 1000}) {
    for (const double momentum : {0.0, 0.9}) {
      EXPECT_EQ(DefaultsAt("slowmo", period, momentum).peers.slow_beta,
                DefaultsAt("informed-pso-ps", period, momentum).swarm.inertia.value());
    }
  }
  EXPECT_EQ(DefaultsAt("slowmo", 16, 0).swarm.inertia.value(), 0) << "it has none";
  EXPECT_EQ(DefaultsAt("pso-ps", 16, 0).peers.slow_beta, 0) << "it has none";
  SyncOptions given;
  given.peers.slow_beta = 0.4;
  EXPECT_EQ(WithDefaults("slowmo", given).peers.slow_beta, 0.4);
}

TEST(MakeSynchronizer, AnUnknownNameSuggestsTheNearest) {
  EXPECT_EQ(RefusalOf("avrage", {}),
            "unknown synchronizer 'avrage'; did you mean 'average'? (one of average, diloco, easgd, "
            "informed-pso-ps, leader, pso-ps, slowmo, ssgd)");
}

TEST(MakeSynchronizer, RefusesOptionsOutOfRange) {
  SyncOptions options;
  options.period = 0;
  EXPECT_EQ(RefusalOf("average", options), "period is 0; it must be at least 1");
  options.period = -3;
  EXPECT_EQ(RefusalOf("ssgd", options), "period is -3; it must be at least 1");
  options = {};
  options.total_steps = -1;
  EXPECT_NE(RefusalOf("average", options).find("total_steps is -1"), std::string::npos);
  options = {};
  options.local_momentum = 1;
  EXPECT_EQ(RefusalOf("pso-ps", options), "local_momentum is 1; it must be at least 0 and below 1");
  options = {};
  options.swarm.inertia = 1;
  EXPECT_NE(RefusalOf("pso-ps", options).find("inertia is 1"), std::string::npos);
  options = {};
  options.fitness = Fitness::kProbe;
  EXPECT_NE(RefusalOf("pso-ps", options).find("probe"), std::string::npos);
  options = {};
  options.swarm.inertia = {0.75, 0.5};
  EXPECT_NE(RefusalOf("pso-ps", options).find("inertia is 0.75:0.5, which changes"), std::string::npos);
  options = {};
  options.final_average = -1;
  EXPECT_EQ(RefusalOf("average", options), "final-average is -1; it must be from 0 to 1000");
}

struct Disagreement {
  const char* name;
  std::function<void(SyncOptions&)> change;  // on one rank
  const char* here;                          // rank 0's value and the other's, as the message has them
  const char* there;
};

class DisagreementTest : public ::testing::TestWithParam<Disagreement> {};

TEST_P(DisagreementTest, IsAUsageErrorOnAllRanksThatNamesBoth) {
  RunRanks(3, [&](Communicator& comm) {
    HandDrivenWorker worker({3});
    SyncOptions options;
    options.probe = [] { return 0.0; };
    if (comm.rank() == 2) GetParam().change(options);
    const std::string message =
        MessageOf<UsageError>([&] { MakeSynchronizer("pso-ps", worker.params(), comm, options); });
    const std::size_t here = message.find("rank 0 runs"), there = message.find("rank 2 runs");
    ASSERT_NE(here, std::string::npos) << message;
    ASSERT_NE(there, std::string::npos) << message;
    EXPECT_NE(message.substr(here, there - here).find(GetParam().here), std::string::npos) << message;
    EXPECT_NE(message.substr(there).find(GetParam().there), std::string::npos) << message;
  });
}

INSTANTIATE_TEST_SUITE_P(
    Options, DisagreementTest,
    ::testing::Values(
        Disagreement{"period", [](SyncOptions& o) { o.period = 8; }, "period 16,", "period 8,"},
        Disagreement{"total_steps", [](SyncOptions& o) { o.total_steps = 9; }, "steps 0,", "steps 9,"},
        Disagreement{"seed", [](SyncOptions& o) { o.seed = 7; }, "seed 0,", "seed 7,"},
        Disagreement{"fitness", [](SyncOptions& o) { o.fitness = Fitness::kProbe; }, "fitness train-loss,",
                     "fitness probe,"},
        Disagreement{"velocity", [](SyncOptions& o) { o.swarm.velocity = Velocity::kSwarm; },
                     "velocity total,", "velocity swarm,"},
        Disagreement{"inertia", [](SyncOptions& o) { o.swarm.inertia = 0.25; }, "inertia 0.7,",
                     "inertia 0.25,"},
        Disagreement{"cognitive", [](SyncOptions& o) { o.swarm.cognitive = 0.25; }, "cognitive 0,",
                     "cognitive 0.25,"},
        Disagreement{"social", [](SyncOptions& o) { o.swarm.social = 0.25; }, "social 0.1,", "social 0.25,"},
        Disagreement{"random", [](SyncOptions& o) { o.swarm.random = RandomScope::kTensor; }, "random none,",
                     "random tensor,"},
        Disagreement{"memory", [](SyncOptions& o) { o.swarm.memory = Memory::kHistoric; }, "memory current,",
                     "memory historic,"},
        Disagreement{"guide", [](SyncOptions& o) { o.swarm.guide = Guide::kRandom; }, "guide best,",
                     "guide random,"},
        Disagreement{"round_ends",
                     [](SyncOptions& o) {
                       o.total_steps = 9, o.round_ends = {4, 9};
                     },
                     "period 16, total", "period 16, 2 rounds with the ends"},
        Disagreement{"momentum_at_sync", [](SyncOptions& o) { o.momentum_at_sync = MomentumAtSync::kReset; },
                     "sync keep,", "sync reset,"},
        Disagreement{"final_average", [](SyncOptions& o) { o.final_average = 2; }, "average 8,",
                     "average 2,"},
        Disagreement{"memory_decay", [](SyncOptions& o) { o.swarm.memory_decay = 0.25; }, "decay 0.05",
                     "decay 0.25"}),
    [](const auto& info) { return info.param.name; });

TEST(MakeSynchronizer, DisagreementOnTheNameOrTheModelIsAUsageError) {
  RunRanks(2, [](Communicator& comm) {
    HandDrivenWorker worker({3});
    const std::string name = comm.rank() == 0 ? "average" : "ssgd";
    const std::string message = MessageOf<UsageError>([&] { MakeSynchronizer(name, worker.params(), comm); });
    EXPECT_NE(message.find("rank 0 runs average of"), std::string::npos) << message;
    EXPECT_NE(message.find("rank 1 runs ssgd of"), std::string::npos) << message;
  });
  RunRanks(2, [](Communicator& comm) {
    HandDrivenWorker worker(comm.rank() == 0 ? std::vector<std::int64_t>{3}
                                             : std::vector<std::int64_t>{2, 2});
    const std::string message =
        MessageOf<UsageError>([&] { MakeSynchronizer("average", worker.params(), comm); });
    EXPECT_NE(message.find("of 3 parameters in 1 tensors"), std::string::npos) << message;
    EXPECT_NE(message.find("of 4 parameters in 2 tensors"), std::string::npos) << message;
  });
}

// A network that loses what it should broadcast.
class ForgetfulCommunicator : public PassingCommunicator {
 public:
  using PassingCommunicator::PassingCommunicator;
  void Broadcast(const at::Tensor&, int) override { Barrier(); }
};

TEST(MakeSynchronizer, WeightsThatDifferAfterTheBroadcastAreACommError) {
  RunRanks(3, [](Communicator& comm) {
    ForgetfulCommunicator forgetful(comm);
    HandDrivenWorker worker({3});
    worker.SetWeights({1, 2, comm.rank() == 2 ? 4.0f : 3.0f});
    const std::string message =
        MessageOf<CommError>([&] { MakeSynchronizer("average", worker.params(), forgetful); });
    EXPECT_EQ(message.rfind("rank 2 does not have rank 0's initial weights", 0), 0u) << message;
  });
}

}  // namespace
}  // namespace swarmsync
