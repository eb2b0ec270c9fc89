// Groups of workers that are one worker for the synchronizer (SyncOptions::group_size).

#include <gtest/gtest.h>

#include <algorithm>

#include "support/errors.h"
#include "support/ranks.h"
#include "support/test_name.h"
#include "swarmsync/base/error.h"
#include "swarmsync/comm/counting_communicator.h"
#include "swarmsync/comm/link.h"
#include "swarmsync/sync/replay.h"
#include "swarmsync/sync/synchronizer.h"
#include "sync/worker.h"

namespace swarmsync {
namespace {

using testing::Batches;
using testing::Faller;
using testing::Floats;
using testing::FromRanks;
using testing::HandDrivenWorker;
using testing::MessageOf;
using testing::RunRanks;
using testing::SmallNet;
using testing::Values;

SyncOptions InGroups(int size, std::int64_t period = 4, std::int64_t group_period = 2) {
  SyncOptions options;
  options.period = period;
  options.group_size = size;
  options.group_period = group_period;
  return options;
}

class GroupsTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Names, GroupsTest, ::testing::ValuesIn(testing::ExchangersOfWeights()),
                         [](const auto& info) { return testing::TestName(info.param); });

// What the members of a group find on the average is what a single worker finds in a world of groups.
TEST_P(GroupsTest, AGroupIsAWorkerThatMakesItsMembersMeanMove) {
  constexpr int kGroups = 3, kSize = 2;
  const std::vector<std::int64_t> sizes{5, 40};
  const Replay::Vector start(45, 1);
  SyncOptions options = InGroups(kSize);
  options.seed = 9;
  options.total_steps = 100;
  Replay members(GetParam(), kGroups * kSize, sizes, start, options);
  options.group_size = 1;
  Replay workers(GetParam(), kGroups, sizes, start, options);
  for (int round = 0; round < 4; ++round) {
    std::vector<Replay::Vector> moves, mean_moves;
    std::vector<double> fitness, mean_fitness;
    for (int rank = 0; rank < kGroups * kSize; ++rank) {
      Replay::Vector move;
      for (int i = 0; i < 45; ++i)
        move.push_back(0.125f * static_cast<float>((rank * 31 + i * (round + 7)) % 16));
      moves.push_back(move);
      fitness.push_back(1 + (rank * 5 + round * 3) % 7);
    }
    for (int group = 0; group < kGroups; ++group) {
      Replay::Vector mean;
      for (int i = 0; i < 45; ++i) mean.push_back((moves[2 * group][i] + moves[2 * group + 1][i]) / 2);
      mean_moves.push_back(mean);
      mean_fitness.push_back((fitness[2 * group] + fitness[2 * group + 1]) / 2);
    }
    members.Round(moves, fitness);
    workers.Round(mean_moves, mean_fitness);
    for (int rank = 0; rank < kGroups * kSize; ++rank) {
      const Replay::Vector found = members.positions()[rank], expected = workers.positions()[rank / kSize];
      EXPECT_EQ(found, members.positions()[rank / kSize * kSize]) << "members differ after round " << round;
      for (int i = 0; i < 45; ++i)
        EXPECT_NEAR(found[i], expected[i], 1e-5) << round << " " << rank << " " << i;
    }
  }
  const Replay::Vector found = members.FinalModel(), expected = workers.FinalModel();
  for (int i = 0; i < 45; ++i) EXPECT_NEAR(found[i], expected[i], 1e-5);
}

// Weights fall by 1, 2, 3, 6 a step; the group's period is 2, the period 4.
TEST(Groups, AverageOftenAmongThemselvesAndSeldomWithOthers) {
  RunRanks(4, [](Communicator& comm) {
    constexpr float kSlopes[] = {1, 2, 3, 6};
    Faller faller(kSlopes[comm.rank()]);
    SyncOptions options = InGroups(2);
    options.total_steps = 5;
    const auto sync = MakeSynchronizer("average", faller.params(), comm, options);
    const float of_group = comm.rank() < 2 ? 1.5 : 4.5, mine = kSlopes[comm.rank()];
    faller.Step(*sync);
    EXPECT_FLOAT_EQ(faller.weight(), -mine);
    faller.Step(*sync);
    EXPECT_FLOAT_EQ(faller.weight(), -2 * of_group);
    faller.Step(*sync);
    EXPECT_FLOAT_EQ(faller.weight(), -2 * of_group - mine);
    EXPECT_EQ(sync->rounds(), 0);
    faller.Step(*sync);
    EXPECT_FLOAT_EQ(faller.weight(), -12);
    EXPECT_EQ(sync->rounds(), 1);
    faller.Step(*sync);
    EXPECT_FLOAT_EQ(faller.weight(), -15) << "the last step ends a round";
    EXPECT_FLOAT_EQ(faller.FinalModel(*sync), -15);
  });
}

TEST(Groups, AFinalModelInTheMiddleOfARoundIsTheMeanOfAllWorkers) {
  RunRanks(4, [](Communicator& comm) {
    Faller faller(static_cast<float>(comm.rank() + 1));
    const auto sync = MakeSynchronizer("average", faller.params(), comm, InGroups(2));
    faller.Step(*sync);
    EXPECT_FLOAT_EQ(faller.FinalModel(*sync), -2.5);
    EXPECT_FLOAT_EQ(faller.weight(), -static_cast<float>(comm.rank() + 1));
  });
}

TEST(Groups, TheGroupsOfWorkersLearnLikeOneWithABatchOfAll) {
  constexpr int kWorkers = 4;
  constexpr std::int64_t kSteps = 6;
  const Batches batches(kSteps, kWorkers, 3);
  SmallNet whole(1);
  torch::optim::SGD optimizer_of_whole(whole.parameters(), 0.1);
  for (std::int64_t step = 0; step < kSteps; ++step) {
    optimizer_of_whole.zero_grad();
    batches.LossOfAll(whole, step).backward();
    optimizer_of_whole.step();
  }
  const Floats expected = Values(FlatParams(whole), FlatParams(whole).weights());
  for (const char* name : {"ssgd", "average"}) {
    RunRanks(kWorkers, [&](Communicator& comm) {
      SmallNet net(1);
      FlatParams params(net);
      torch::optim::SGD optimizer(net.parameters(), 0.1);
      SyncOptions options = InGroups(2, /*period=*/1, /*group_period=*/1);
      options.total_steps = kSteps;
      const auto sync = MakeSynchronizer(name, params, comm, options);
      for (std::int64_t step = 0; step < kSteps; ++step) {
        params.ZeroGrad();
        const at::Tensor loss = batches.Loss(net, step, comm.rank());
        loss.backward();
        sync->Step(optimizer, loss.detach());
      }
      const Floats found = Values(params, params.weights());
      for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-5) << name << i;
    });
  }
}

TEST(Groups, AWarmUpExchangesGradientsAmongAll) {
  RunRanks(4, [](Communicator& comm) {
    Faller faller(static_cast<float>(comm.rank()));  // 1.5 on average
    SyncOptions options = InGroups(2);
    options.warmup_steps = 3;
    options.total_steps = 8;
    const auto sync = MakeSynchronizer("pso-ps", faller.params(), comm, options);
    for (int step = 0; step < 3; ++step) faller.Step(*sync);
    EXPECT_FLOAT_EQ(faller.weight(), -4.5);
    faller.Step(*sync);
    EXPECT_FLOAT_EQ(faller.weight(), -4.5f - static_cast<float>(comm.rank()));
  });
}

TEST(Groups, MomentaAreAveragedOverAll) {
  RunRanks(4, [](Communicator& comm) {
    Faller faller(static_cast<float>(comm.rank()), /*momentum=*/0.5);
    SyncOptions options = InGroups(2, 1, 1);
    options.total_steps = 2;
    options.momentum_at_sync = MomentumAtSync::kAverage;
    const auto sync = MakeSynchronizer("average", faller.params(), comm, options);
    faller.Step(*sync);
    EXPECT_FLOAT_EQ(faller.weight(), -1.5);
    faller.SetSlope(0);
    faller.Step(*sync);
    EXPECT_FLOAT_EQ(faller.weight(), -1.5 - 0.75) << "half of the mean momentum";
  });
}

// While groups exchange, their members go on and average among themselves.
TEST(Groups, ExchangeBesideTheTraining) {
  RunRanks(4, [](Communicator& comm) {
    constexpr float kSlopes[] = {1, 2, 3, 6};
    Faller faller(kSlopes[comm.rank()]);
    SyncOptions options = InGroups(2);
    options.total_steps = 12;
    options.overlap = 3;
    const auto sync = MakeSynchronizer("average", faller.params(), comm, options);
    const float of_group = comm.rank() < 2 ? 1.5 : 4.5;
    for (int step = 0; step < 6; ++step) faller.Step(*sync);
    EXPECT_FLOAT_EQ(faller.weight(), -6 * of_group) << "the exchange has not been applied";
    faller.Step(*sync);
    EXPECT_FLOAT_EQ(faller.weight(), -12 - 2 * of_group - kSlopes[comm.rank()]);
    for (int step = 7; step < 12; ++step) faller.Step(*sync);
    EXPECT_FLOAT_EQ(faller.weight(), -36);
  });
}

TEST(Groups, TheGuardLeavesOutAWholeGroup) {
  const auto weights = FromRanks(6, [](Communicator& comm) {
    HandDrivenWorker worker({1});
    SyncOptions options = InGroups(2);
    options.guard = true;
    const auto sync = MakeSynchronizer("average", worker.params(), comm, options);
    worker.SetWeights({comm.rank() == 3 ? std::nanf("") : static_cast<float>(comm.rank())});
    sync->Exchange(1);
    EXPECT_EQ(sync->last_exchange().left_out, std::vector<int>{1}) << "its group";
    return worker.weights()[0];
  });
  for (const float weight : weights) EXPECT_FLOAT_EQ(weight, 2.5);
}

TEST(Groups, LeadersAloneSendToOtherGroups) {
  RunRanks(4, [](Communicator& comm) {
    CountingCommunicator counting(comm, /*ranks_per_host=*/2);
    HandDrivenWorker worker({1000});
    SyncOptions options = InGroups(2);
    options.final_average = 0;
    const auto sync = MakeSynchronizer("average", worker.params(), counting, options);
    const double before = counting.sent().between_hosts;
    sync->Exchange(1);
    const double message = 4 * (static_cast<double>(worker.params().weights().numel()) + 1);
    EXPECT_EQ(counting.sent().between_hosts - before, comm.rank() % 2 == 0 ? message : 0);
  });
}

// Gradients travel whole within a group, and encoded between leaders only.
TEST(Groups, EncodedGradientsAreThoseOfGroups) {
  for (const Wire wire : {Wire::kFp32, Wire::kInt8}) {
    const auto sent = FromRanks(4, [&](Communicator& comm) {
      CountingCommunicator counting(comm, /*ranks_per_host=*/2);
      HandDrivenWorker worker({4096});
      SyncOptions options = InGroups(2);
      options.wire = wire;
      const auto sync = MakeSynchronizer("ssgd", worker.params(), counting, options);
      worker.SetGradients(Floats(4096, static_cast<float>(comm.rank() + 1)));
      const double before = counting.sent().between_hosts;
      sync->OnGradients();
      for (const float gradient : worker.gradients()) EXPECT_NEAR(gradient, 2.5, 0.01);
      return counting.sent().between_hosts - before;
    });
    EXPECT_EQ(sent[1], 0) << "no leader";
    EXPECT_NEAR(sent[0], wire == Wire::kFp32 ? 4 * 4096 : 1.02 * 4096, 100);
  }
}

TEST(Groups, BuffersBecomeTheMeanOfAll) {
  RunRanks(4, [](Communicator& comm) {
    torch::nn::Sequential net(torch::nn::Linear(2, 3), torch::nn::BatchNorm1d(3));
    FlatParams params(*net);
    const auto sync = MakeSynchronizer("average", params, comm, InGroups(2));
    at::Tensor buffers = params.buffers();
    buffers.fill_(comm.rank());
    sync->Exchange(1);
    EXPECT_FLOAT_EQ(buffers[0].item<float>(), 1.5);
  });
}

// The bytes of a round are all that was sent since the one before, averages within groups among them.
TEST(Groups, TracesHaveAllBytesOfARound) {
  for (const std::int64_t overlap : {0, 3}) {
    RunRanks(4, [&](Communicator& comm) {
      CountingCommunicator counting(comm, /*ranks_per_host=*/2);
      Faller faller(1);
      SyncOptions options = InGroups(2);
      options.total_steps = 20;
      options.overlap = overlap;
      options.trace = true;
      options.bytes_sent = [&] { return counting.sent().all; };
      const auto sync = MakeSynchronizer("average", faller.params(), counting, options);
      const double before = counting.sent().all;
      for (int step = 0; step < 20; ++step) faller.Step(*sync);
      double bytes = 0;
      for (const RoundTrace& trace : sync->TakeTraces()) bytes += trace.bytes;
      EXPECT_DOUBLE_EQ(bytes, counting.sent().all - before);
    });
  }
}

TEST(Groups, MembersWaitAsLongAsTheirLeadersTalk) {
  testing::RunRanks(
      4,
      [](Communicator& comm) {
        LinkedCommunicator linked(comm, {1e6, 0.3}, /*ranks_per_host=*/2);
        HandDrivenWorker worker({1});
        const auto sync = MakeSynchronizer("average", worker.params(), linked, InGroups(2));
        worker.SetWeights({static_cast<float>(comm.rank())});
        sync->Exchange(1);
        EXPECT_FLOAT_EQ(worker.weights()[0], 1.5);
      },
      std::chrono::milliseconds(500));
}

TEST(Groups, WireFormatsKeepTheMembersEqual) {
  for (const char* name : {"average", "pso-ps"}) {
    const auto weights = FromRanks(4, [&](Communicator& comm) {
      HandDrivenWorker worker({300});
      SyncOptions options = InGroups(2);
      options.wire = Wire::kInt8;
      const auto sync = MakeSynchronizer(name, worker.params(), comm, options);
      for (int round = 0; round < 3; ++round) {
        Floats move;
        for (int i = 0; i < 300; ++i)
          move.push_back(0.01f * static_cast<float>((i * (comm.rank() + 2) + round) % 13));
        worker.Add(move);
        sync->Exchange(1 + (comm.rank() + round) % 4);
      }
      return worker.weights();
    });
    EXPECT_EQ(weights[0], weights[1]) << name;
    EXPECT_EQ(weights[2], weights[3]) << name;
  }
}

TEST(Groups, AreRefusedWhereTheyCannotBe) {
  RunRanks(4, [](Communicator& comm) {
    HandDrivenWorker worker({1});
    const auto message = [&](const SyncOptions& options) {
      return MessageOf<UsageError>([&] { MakeSynchronizer("average", worker.params(), comm, options); });
    };
    EXPECT_EQ(message(InGroups(3)), "group_size is 3; it must divide the number of workers, 4");
    EXPECT_EQ(message(InGroups(0)), "group_size is 0; it must divide the number of workers, 4");
    EXPECT_EQ(message(InGroups(2, 4, 5)),
              "group_period is 5; it must be from 1 to the period, 4, or 0 (a quarter of it)");
    SyncOptions options = InGroups(2);
    options.total_steps = 10;
    const auto sync = MakeSynchronizer("average", worker.params(), comm, options);
    EXPECT_EQ(MessageOf<UsageError>([&] { sync->Finish(); }),
              "Finish() was called after step 0; with groups the training ends at total_steps, which is 10");
  });
}

TEST(Groups, AverageAfterAQuarterOfThePeriodUnlessTold) {
  const auto period = [](std::int64_t outer) {
    return WithDefaults("average", InGroups(2, outer, 0)).group_period;
  };
  EXPECT_EQ(period(16), 4);
  EXPECT_EQ(period(3), 1);
  EXPECT_EQ(period(1), 1);
}

}  // namespace
}  // namespace swarmsync
