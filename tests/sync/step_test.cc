// Step() and Finish(): when exchanges happen, what their fitness is, how a training ends, and what a failure
// leaves.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "comm/passing_communicator.h"
#include "support/errors.h"
#include "support/ranks.h"
#include "support/test_name.h"
#include "swarmsync/base/error.h"
#include "swarmsync/sync/synchronizer.h"
#include "sync/worker.h"

namespace swarmsync {
namespace {

using testing::Faller;
using testing::Floats;
using testing::FromRanks;
using testing::HandDrivenWorker;
using testing::MessageOf;
using testing::RunRanks;

SyncOptions Schedule(std::int64_t period, std::int64_t total_steps = 0) {
  SyncOptions options;
  options.period = period;
  options.total_steps = total_steps;
  return options;
}

// No pulls and no inertia: pso-ps does nothing but to compare fitnesses.
SyncOptions Still(SyncOptions options) {
  options.swarm.velocity = Velocity::kSwarm;
  options.swarm.inertia = 0;
  options.swarm.social = 0;
  options.peers.slow_beta = options.peers.outer_momentum = 0;
  options.peers.outer_lr = 1;
  return options;
}

// Whose workers keep weights of their own.
bool IsSwarm(const std::string& name) {
  return name == "pso-ps" || name == "informed-pso-ps" || name == "leader";
}

TEST(Step, ExchangesAfterEveryPeriodAndAtTheEnd) {
  RunRanks(2, [](Communicator& comm) {
    const float slope = comm.rank() == 0 ? 1 : 2;  // 1.5 on average
    Faller faller(slope);
    const auto sync = MakeSynchronizer("average", faller.params(), comm, Schedule(3, 7));
    EXPECT_EQ(sync->period(), 3);
    Floats weights;
    std::vector<std::int64_t> rounds;
    for (int step = 1; step <= 7; ++step) {
      faller.Step(*sync);
      EXPECT_EQ(sync->steps(), step);
      weights.push_back(faller.weight());
      rounds.push_back(sync->rounds());
    }
    EXPECT_EQ(weights, (Floats{-slope, -2 * slope, -4.5, -4.5f - slope, -4.5f - 2 * slope, -9, -10.5}));
    EXPECT_EQ(rounds, (std::vector<std::int64_t>{0, 0, 1, 1, 1, 2, 3}));
  });
}

TEST(Step, RoundsMayHaveLengthsOfTheirOwn) {
  RunRanks(2, [](Communicator& comm) {
    for (const std::int64_t warmup : {0, 1}) {
      Faller faller(1);
      SyncOptions options = Schedule(3, 9);
      options.warmup_steps = warmup;
      options.round_ends = {2, 6, 7, 9};
      const auto sync = MakeSynchronizer("average", faller.params(), comm, options);
      std::vector<std::int64_t> ends;
      for (int step = 1; step <= 9; ++step) {
        const std::int64_t before = sync->rounds();
        faller.Step(*sync);
        if (sync->rounds() > before) ends.push_back(step);
      }
      if (warmup == 1) options.round_ends.insert(options.round_ends.begin(), 1);
      EXPECT_EQ(ends, options.round_ends);
    }
  });
}

TEST(Step, RoundEndsAscendToTheEndOfTheTraining) {
  RunRanks(1, [](Communicator& comm) {
    Faller faller(1);
    for (const std::vector<std::int64_t>& ends : {std::vector<std::int64_t>{3, 6}, {4, 2, 7}, {4, 4, 7}}) {
      SyncOptions options = Schedule(3, 7);
      options.round_ends = ends;
      const std::string message =
          MessageOf<UsageError>([&] { MakeSynchronizer("average", faller.params(), comm, options); });
      EXPECT_NE(message.find("end with total_steps, 7"), std::string::npos) << message;
    }
  });
}

// The weights after each of three rounds of two steps, and a last one of one, where every step moves them by
// -1 and half of a velocity is kept. The rate is low in the second round.
Floats FallInRounds(const char* name, Velocity velocity, Communicator& comm) {
  Faller faller(1);
  SyncOptions options = Schedule(2, 7);
  options.swarm.velocity = velocity;
  options.swarm.inertia = 0.5;
  options.peers.slow_beta = 0.5;
  options.rate = [](std::int64_t step) { return step == 3 || step == 4 ? 0.5 : 1.0; };
  const auto sync = MakeSynchronizer(name, faller.params(), comm, options);
  Floats weights;
  for (int step = 1; step <= 7; ++step) {
    faller.Step(*sync);
    if (step % 2 == 0 || step == 7) weights.push_back(faller.weight());
  }
  return weights;
}

TEST(Step, AVelocityFollowsAFallingRateAndNotARisingOne) {
  for (const char* name : {"slowmo", "informed-pso-ps", "pso-ps"}) {
    SCOPED_TRACE(name);
    RunRanks(2, [&](Communicator& comm) {
      const float second = -2 - 2 * 0.25f, third = -2 + second * 0.5f;
      const float last = -1 + third * 0.25f;  // one step
      EXPECT_EQ(FallInRounds(name, Velocity::kTotal, comm),
                (Floats{-2, -2 + second, -2 + second + third, -2 + second + third + last}));
    });
  }
}

// It carries on what the next round's rates leave of it, and where there is no next round nothing.
TEST(Step, AVelocityThatLooksAheadFollowsTheRateOfTheNextRound) {
  for (const char* name : {"informed-pso-ps", "pso-ps"}) {
    SCOPED_TRACE(name);
    RunRanks(2, [&](Communicator& comm) {
      const float ahead_1 = -2 * 0.25f, ahead_2 = (-2 + ahead_1) * 0.5f, ahead_3 = (-2 + ahead_2) * 0.25f;
      EXPECT_EQ(FallInRounds(name, Velocity::kNesterov, comm),
                (Floats{-2 + ahead_1, -4 + ahead_1 + ahead_2, -6 + ahead_1 + ahead_2 + ahead_3,
                        -7 + ahead_1 + ahead_2 + ahead_3}));
    });
  }
}

// Where the world changes, the steps that were counted say nothing of the round that is cut off.
TEST(Step, AVelocityThatLooksAheadIsKeptWholeWhereARoundIsCutOff) {
  RunRanks(2, [&](Communicator& comm) {
    Faller faller(1);
    SyncOptions options = Schedule(2, 7);
    options.swarm.velocity = Velocity::kNesterov;
    options.swarm.inertia = 0.5;
    options.rate = [](std::int64_t step) { return step <= 4 ? 1.0 : 1e-3; };
    const auto sync = MakeSynchronizer("informed-pso-ps", faller.params(), comm, options);
    faller.Step(*sync);
    sync->CountFrom(2);
    sync->EndRound();
    EXPECT_EQ(faller.weight(), -1.5f);
  });
}

TEST(Step, SsgdExchangesAtEveryStepWhateverThePeriod) {
  RunRanks(2, [](Communicator& comm) {
    Faller faller(comm.rank() == 0 ? 1 : 2);
    const auto sync = MakeSynchronizer("ssgd", faller.params(), comm, Schedule(3, 4));
    EXPECT_EQ(sync->period(), 1);
    for (int step = 1; step <= 4; ++step) {
      faller.Step(*sync);
      EXPECT_EQ(faller.weight(), -1.5f * step);
      EXPECT_EQ(sync->rounds(), step);
    }
  });
}

TEST(Step, TakesBackAParameterThatTheUserReplaced) {
  RunRanks(2, [](Communicator& comm) {
    Faller faller(1);
    const auto sync = MakeSynchronizer("average", faller.params(), comm, Schedule(1));
    faller.Step(*sync);
    faller.ReplaceWeight(comm.rank() == 0 ? 10 : 20);
    faller.Step(*sync);
    EXPECT_EQ(faller.weight(), 14);  // the mean of 9 and 19
  });
}

class StepTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Names, StepTest, ::testing::ValuesIn(SynchronizerNames()),
                         [](const auto& info) { return testing::TestName(info.param); });

TEST_P(StepTest, AStepAfterTheEndIsAUsageError) {
  RunRanks(2, [&](Communicator& comm) {
    Faller faller(1);
    const auto sync = MakeSynchronizer(GetParam(), faller.params(), comm, Schedule(2, 2));
    faller.Step(*sync);
    faller.Step(*sync);
    const float weight = faller.weight();
    MessageOf<UsageError>([&] { faller.Step(*sync); });
    EXPECT_EQ(faller.weight(), weight);
    EXPECT_EQ(sync->steps(), 2);

    const auto another = MakeSynchronizer(GetParam(), faller.params(), comm, Schedule(2));
    faller.Step(*another);
    another->Finish();
    MessageOf<UsageError>([&] { faller.Step(*another); });
    another->Finish();  // does nothing
  });
}

TEST_P(StepTest, KeepsNoTracesUnlessAskedTo) {
  RunRanks(2, [&](Communicator& comm) {
    Faller faller(1);
    const auto sync = MakeSynchronizer(GetParam(), faller.params(), comm, Schedule(2));
    for (int step = 0; step < 4; ++step) faller.Step(*sync);
    EXPECT_TRUE(sync->TakeSpans().empty());
    EXPECT_TRUE(sync->TakeTraces().empty());
  });
}

TEST_P(StepTest, MeasuresEveryExchange) {
  RunRanks(2, [&](Communicator& comm) {
    Faller faller(1);
    SyncOptions options = Schedule(2);
    options.trace = true;
    const auto sync = MakeSynchronizer(GetParam(), faller.params(), comm, options);
    EXPECT_TRUE(sync->TakeSpans().empty());
    for (int step = 0; step < 4; ++step) faller.Step(*sync);
    const auto spans = sync->TakeSpans();
    EXPECT_EQ(spans.size(), GetParam() == "ssgd" ? 4u : 2u);
    double free_since = 0;  // exchanges follow each other
    for (const SyncSpan& span : spans) {
      EXPECT_GE(span.seconds, 0);
      EXPECT_GE(span.arrival, free_since);
      free_since = span.arrival + span.seconds;
    }
    EXPECT_TRUE(sync->TakeSpans().empty());
    EXPECT_EQ(sync->TakeTraces().size(), GetParam() == "ssgd" ? 0u : 2u);
  });
}

// ---- Fitness ----

TEST(Fitness, IsTheMeanLossOfTheRound) {
  RunRanks(2, [](Communicator& comm) {
    Faller faller(1);
    const auto sync = MakeSynchronizer("pso-ps", faller.params(), comm, Schedule(3, 5));
    for (const double loss : {1.0, 2.0, 6.0}) faller.Step(*sync, loss * (comm.rank() + 1));
    EXPECT_EQ(sync->last_exchange().fitness, (std::vector<double>{3, 6}));
    EXPECT_EQ(sync->last_exchange().guide, 0);
    EXPECT_TRUE(sync->last_exchange().guide_moved);
    for (const double loss : {5.0, 6.0}) faller.Step(*sync, loss / (comm.rank() + 1));  // a short last round
    EXPECT_EQ(sync->last_exchange().fitness, (std::vector<double>{5.5, 2.75}));
    EXPECT_EQ(sync->last_exchange().guide, 1);
  });
}

TEST(Fitness, OfALossThatIsNotFiniteIsNotFinite) {
  RunRanks(2, [](Communicator& comm) {
    Faller faller(1);
    const auto sync = MakeSynchronizer("pso-ps", faller.params(), comm, Schedule(2));
    faller.Step(*sync, comm.rank() == 0 ? std::nan("") : 7);
    faller.Step(*sync, 9);
    ASSERT_EQ(sync->last_exchange().fitness.size(), 2u);
    EXPECT_FALSE(std::isfinite(sync->last_exchange().fitness[0]));
    EXPECT_EQ(sync->last_exchange().fitness[1], 8);
    EXPECT_EQ(sync->last_exchange().guide, 1);
    faller.Step(*sync, 1);
    faller.Step(*sync, 1);
    EXPECT_EQ(sync->last_exchange().fitness, (std::vector<double>{1, 1}));  // the next round is another
  });
}

TEST(Fitness, IsTheProbesLossWhereTheRoundEndedWhenThatIsChosen) {
  RunRanks(2, [](Communicator& comm) {
    Faller faller(comm.rank() == 0 ? 1 : 2);
    int calls = 0;
    SyncOptions options = Schedule(2, 4);
    options.swarm.velocity = Velocity::kSwarm;
    options.swarm.inertia = 0;
    options.swarm.social = 1;  // all jump to the best
    options.fitness = Fitness::kProbe;
    options.probe = [&] {
      ++calls;
      return -10.0 * faller.weight();
    };
    const auto sync = MakeSynchronizer("pso-ps", faller.params(), comm, options);
    for (int step = 0; step < 2; ++step) faller.Step(*sync);
    EXPECT_EQ(sync->last_exchange().fitness, (std::vector<double>{20, 40}));
    EXPECT_EQ(faller.weight(), -2);
    for (int step = 0; step < 2; ++step) faller.Step(*sync);
    EXPECT_EQ(sync->last_exchange().fitness, (std::vector<double>{40, 60}));
    EXPECT_EQ(calls, 2);
  });
}

TEST(Fitness, IsNotAskedForBySynchronizersThatUseNone) {
  RunRanks(2, [](Communicator& comm) {
    for (const std::string name : {"average", "ssgd"}) {
      Faller faller(1);
      const auto sync = MakeSynchronizer(name, faller.params(), comm, Schedule(1));
      faller.Step(*sync);
      EXPECT_TRUE(sync->last_exchange().fitness.empty());
    }
  });
}

// ---- Finish ----

class FinishTest : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Workers, FinishTest, ::testing::Range(1, 5));

// Rank r makes 2r + 1 steps in rounds of 2.
TEST_P(FinishTest, LetsRanksRunOutOfBatchesAtDifferentSteps) {
  for (const std::string& name : SynchronizerNames()) {
    const auto weights = FromRanks(GetParam(), [&](Communicator& comm) {
      Faller faller(static_cast<float>(comm.rank() + 1));
      const auto sync = MakeSynchronizer(name, faller.params(), comm, Still(Schedule(2)));
      for (int step = 0; step < 2 * comm.rank() + 1; ++step) faller.Step(*sync);
      sync->Finish();
      EXPECT_EQ(sync->steps(), 2 * comm.rank() + 1);
      EXPECT_EQ(sync->rounds(), name == "ssgd" ? 2 * comm.size() - 1 : comm.size());
      return faller.weight();
    });
    if (name == "easgd") continue;  // its springs pull; the center is in the oracles
    if (IsSwarm(name)) {            // each where it went alone
      for (int rank = 0; rank < GetParam(); ++rank)
        EXPECT_EQ(weights[rank], -(rank + 1) * (2 * rank + 1)) << rank;
    } else {
      for (const float weight : weights) EXPECT_EQ(weight, weights[0]) << name;
    }
  }
}

TEST(Finish, GivesSsgdReplicasTheWeightsOfTheLongest) {
  // Slopes 1, 2, 6 and 1, 2, 3 steps: means (1+2+6)/3 = 3, (2+6)/2 = 4, 6
  const auto weights = FromRanks(3, [](Communicator& comm) {
    Faller faller(std::vector<float>{1, 2, 6}[comm.rank()]);
    const auto sync = MakeSynchronizer("ssgd", faller.params(), comm);
    for (int step = 0; step <= comm.rank(); ++step) faller.Step(*sync);
    sync->Finish();
    return faller.weight();
  });
  EXPECT_EQ(weights, (Floats{-13, -13, -13}));
}

TEST(Finish, LeavesTheSameFinalModelOnAllRanks) {
  for (const double power : {0.0, 1.0}) {
    for (const std::string& name : SynchronizerNames()) {
      SyncOptions options = Schedule(1);
      options.final_average = power;
      const auto models = FromRanks(3, [&](Communicator& comm) {
        Faller faller(std::vector<float>{1, 2, 6}[comm.rank()]);
        const auto sync = MakeSynchronizer(name, faller.params(), comm, options);
        for (int step = 0; step < comm.rank(); ++step) faller.Step(*sync);  // none on rank 0
        sync->Finish();
        return faller.FinalModel(*sync);
      });
      EXPECT_EQ(models, Floats(3, models[0])) << name << " " << power;
      // ssgd is at -4 and -10 after its steps: (-4 - 20) / 3
      if (name == "ssgd") {
        EXPECT_NEAR(models[0], power == 0 ? -10 : -8, 1e-5);
      }
    }
  }
}

TEST(Finish, AveragesThoseWhoStillWorkAndGivesItToAll) {
  // Rounds of one step, slopes 1, 2, 6 and 1, 2, 3 steps:
  // 1: mean of -1, -2, -6 is -3;  2: mean of -3-2 and -3-6 is -7;  3: -7-6
  const auto weights = FromRanks(3, [](Communicator& comm) {
    Faller faller(std::vector<float>{1, 2, 6}[comm.rank()]);
    const auto sync = MakeSynchronizer("average", faller.params(), comm, Schedule(1));
    for (int step = 0; step <= comm.rank(); ++step) faller.Step(*sync);
    sync->Finish();
    return faller.weight();
  });
  EXPECT_EQ(weights, (Floats{-13, -13, -13}));
}

TEST(Finish, ExchangesAPartialRound) {
  RunRanks(2, [](Communicator& comm) {
    Faller faller(comm.rank() == 0 ? 1 : 2);
    const auto sync = MakeSynchronizer("average", faller.params(), comm, Schedule(4));
    for (int step = 0; step < 6; ++step) faller.Step(*sync);
    EXPECT_EQ(sync->rounds(), 1);
    sync->Finish();
    EXPECT_EQ(sync->rounds(), 2);
    EXPECT_EQ(faller.weight(), -9);
  });
}

TEST(Finish, MayBeAllThatARankWithoutBatchesDoes) {
  for (const std::string& name : SynchronizerNames()) {
    if (name == "easgd") continue;
    RunRanks(3, [&](Communicator& comm) {
      Faller faller(2);
      const auto sync = MakeSynchronizer(name, faller.params(), comm, Still(Schedule(2)));
      for (int step = 0; step < 3 && comm.rank() == 1; ++step) faller.Step(*sync);
      sync->Finish();
      EXPECT_EQ(faller.weight(), IsSwarm(name) && comm.rank() != 1 ? 0 : -6) << name;
    });
  }
}

TEST(Finish, AWorkerThatHasFinishedHasNoFitnessAndIsNoGuide) {
  RunRanks(2, [](Communicator& comm) {
    Faller faller(1);
    SyncOptions options = Schedule(1);
    options.swarm.memory = Memory::kHistoric;
    const auto sync = MakeSynchronizer("pso-ps", faller.params(), comm, options);
    faller.Step(*sync, comm.rank() + 1);  // rank 0 is the better one
    if (comm.rank() == 1) {
      faller.Step(*sync, 5);
      EXPECT_EQ(sync->last_exchange().fitness,
                (std::vector<double>{std::numeric_limits<double>::infinity(), 5}));
      EXPECT_EQ(sync->last_exchange().guide, 1);
      EXPECT_FALSE(sync->last_exchange().guide_moved);  // rank 0's is still the best
    }
    sync->Finish();
  });
}

// ---- The final model ----

TEST(FinalModel, IsTheMeanOfTheWorkersTheCenterOrAReplica) {
  RunRanks(3, [](Communicator& comm) {
    for (const std::string& name : SynchronizerNames()) {
      Faller faller(std::vector<float>{1, 2, 6}[comm.rank()]);
      const auto sync = MakeSynchronizer(name, faller.params(), comm, Still(Schedule(1, 1)));
      faller.Step(*sync);
      const float weight = faller.weight();
      EXPECT_NEAR(faller.FinalModel(*sync), name == "easgd" ? -2.7 : -3, 1e-6) << name;
      EXPECT_EQ(faller.weight(), weight) << name;
      const bool remembers = name == "pso-ps" || name == "informed-pso-ps";
      EXPECT_EQ(sync->final_model(), std::string(remembers ? "average over the rounds of the " : "") +
                                         (name == "ssgd"    ? "replica"
                                          : name == "easgd" ? "center"
                                                            : "mean of the workers"));
    }
  });
}

// ssgd averages over its steps, the others over their rounds: weights -1.5 k after round k.
TEST(FinalModel, IsTheAverageOfAllRoundsTheLateOnesCountingMore) {
  for (const std::string& name : SynchronizerNames()) {
    if (name == "easgd") continue;  // its center lags behind
    SCOPED_TRACE(name);
    RunRanks(2, [&](Communicator& comm) {
      SyncOptions options = Still(Schedule(1, 3));
      options.swarm.velocity = Velocity::kSwarm;
      options.final_average = 1;
      Faller faller(comm.rank() == 0 ? 1 : 2);
      const auto sync = MakeSynchronizer(name, faller.params(), comm, options);
      for (int step = 0; step < 3; ++step) faller.Step(*sync);
      // (1 * 1 + 2 * 2 + 3 * 3) / (1 + 2 + 3) = 14/6 rounds
      EXPECT_NEAR(faller.FinalModel(*sync), -1.5 * 14 / 6, 1e-5);
    });
  }
}

TEST(FinalModel, IsTheLastPositionWhereTheAverageIsSwitchedOff) {
  RunRanks(2, [](Communicator& comm) {
    SyncOptions options = Still(Schedule(1, 3));
    options.final_average = 0;
    Faller faller(comm.rank() == 0 ? 1 : 2);
    const auto sync = MakeSynchronizer("pso-ps", faller.params(), comm, options);
    for (int step = 0; step < 3; ++step) faller.Step(*sync);
    EXPECT_EQ(faller.FinalModel(*sync), -4.5);
    EXPECT_EQ(sync->final_model(), "mean of the workers");
  });
}

TEST(FinalModel, IsThatOfTheReplicasWhileTheyWarmUp) {
  RunRanks(2, [](Communicator& comm) {
    for (const std::string& name : SynchronizerNames()) {
      SyncOptions options = Schedule(4, 2);
      options.warmup_steps = 3;
      Faller faller(comm.rank() == 0 ? 1 : 2);
      const auto sync = MakeSynchronizer(name, faller.params(), comm, options);
      for (int step = 0; step < 2; ++step) faller.Step(*sync);
      EXPECT_NEAR(faller.FinalModel(*sync), -3, 1e-6) << name;
    }
  });
}

// ---- The optimizer's momentum ----

// The weight after each step, where its gradient is 1, with a momentum of 1/2.
Floats StepsWithMomentum(Communicator& comm, const SyncOptions& options) {
  HandDrivenWorker worker({1});
  torch::optim::SGD optimizer(worker.parameters(), torch::optim::SGDOptions(1).momentum(0.5));
  const auto sync = MakeSynchronizer("average", worker.params(), comm, options);
  Floats weights;
  for (int step = 0; step < options.total_steps; ++step) {
    worker.params().ZeroGrad();
    worker.parameters()[0].sum().backward();
    sync->Step(optimizer, torch::full({}, 1.0));
    weights.push_back(worker.weights()[0]);
  }
  return weights;
}

TEST(MomentumAtSync, IsKeptOrBeginsAnewAfterAnExchange) {
  RunRanks(2, [](Communicator& comm) {
    SyncOptions options = Schedule(2, 4);
    EXPECT_EQ(StepsWithMomentum(comm, options), (Floats{-1, -2.5, -4.25, -6.125})) << "1, 1.5, 1.75, 1.875";
    options.momentum_at_sync = MomentumAtSync::kReset;
    EXPECT_EQ(StepsWithMomentum(comm, options), (Floats{-1, -2.5, -3.5, -5})) << "1, 1.5, and once more";
  });
}

TEST(MomentumAtSync, BeginsAnewWithTheFirstRoundAfterAWarmUp) {
  RunRanks(2, [](Communicator& comm) {
    SyncOptions options = Schedule(4, 3);
    options.warmup_steps = 2;
    options.momentum_at_sync = MomentumAtSync::kReset;
    EXPECT_EQ(StepsWithMomentum(comm, options), (Floats{-1, -2.5, -3.5}));
  });
}

// ---- Failures ----

// Fails in every call of one kind once told to, after spoiling what a broken transfer may spoil.
class FaultyCommunicator : public PassingCommunicator {
 public:
  enum class Fault { kNone, kAllReduce, kBroadcast, kAllGather };

  using PassingCommunicator::PassingCommunicator;
  void FailFromNowOn(Fault fault) { fault_ = fault; }

  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override {
    if (fault_ == Fault::kAllReduce) Fail(out);
    PassingCommunicator::AllReduce(in, factors, out);
  }
  void Broadcast(const at::Tensor& inout, int root) override {
    if (fault_ == Fault::kBroadcast) Fail(rank() == root ? at::Tensor() : inout);
    PassingCommunicator::Broadcast(inout, root);
  }
  void AllGatherBytes(const void* mine, std::size_t bytes, void* all) override {
    if (fault_ == Fault::kAllGather) Fail({});
    PassingCommunicator::AllGatherBytes(mine, bytes, all);
  }
  void AllToAllBytes(const void* mine, std::size_t bytes, void* all) override {
    if (fault_ == Fault::kAllReduce) Fail({});
    PassingCommunicator::AllToAllBytes(mine, bytes, all);
  }

 private:
  [[noreturn]] static void Fail(const at::Tensor& spoilt) {
    if (spoilt.defined()) spoilt.fill_(std::nan(""));
    throw CommError("the cable was cut");
  }

  Fault fault_ = Fault::kNone;
};

struct Failure {
  const char* name;
  const char* sync;
  Memory memory;
  FaultyCommunicator::Fault fault;
};

class FailureTest : public ::testing::TestWithParam<Failure> {};

using Fault = FaultyCommunicator::Fault;
INSTANTIATE_TEST_SUITE_P(
    Faults, FailureTest,
    ::testing::Values(Failure{"average", "average", {}, Fault::kAllReduce},
                      Failure{"pso_ps_fitness", "pso-ps", Memory::kCurrent, Fault::kAllGather},
                      Failure{"pso_ps_best", "pso-ps", Memory::kCurrent, Fault::kBroadcast},
                      Failure{"pso_ps_remembered_best", "pso-ps", Memory::kHistoric, Fault::kBroadcast}),
    [](const auto& info) { return info.param.name; });

TEST_P(FailureTest, LeavesTheWeightsOfTheLocalStep) {
  RunRanks(3, [](Communicator& comm) {
    FaultyCommunicator faulty(comm);
    Faller faller(static_cast<float>(comm.rank() + 1));
    SyncOptions options = Schedule(2);
    options.swarm.memory = GetParam().memory;
    options.swarm.cognitive = 0.5;
    const auto sync = MakeSynchronizer(GetParam().sync, faller.params(), faulty, options);
    for (int step = 0; step < 3; ++step) faller.Step(*sync, 10 - step);  // one exchange and half a round
    const float before = faller.weight();
    faulty.FailFromNowOn(GetParam().fault);
    EXPECT_EQ(MessageOf<CommError>([&] { faller.Step(*sync, 1); }), "the cable was cut");
    EXPECT_EQ(faller.weight(), before - static_cast<float>(comm.rank() + 1));
  });
}

TEST(Failure, OfTheGradientExchangeLeavesTheWeightsOfTheLastStep) {
  RunRanks(2, [](Communicator& comm) {
    FaultyCommunicator faulty(comm);
    Faller faller(static_cast<float>(comm.rank() + 1));
    const auto sync = MakeSynchronizer("ssgd", faller.params(), faulty);
    faller.Step(*sync);
    faulty.FailFromNowOn(Fault::kAllReduce);
    MessageOf<CommError>([&] { faller.Step(*sync); });
    EXPECT_EQ(faller.weight(), -1.5f);
    EXPECT_EQ(sync->steps(), 1);
  });
}

}  // namespace
}  // namespace swarmsync
