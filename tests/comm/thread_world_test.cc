#include "swarmsync/comm/thread_world.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <atomic>
#include <optional>
#include <thread>

#include "comm/collective_checks.h"
#include "support/errors.h"
#include "support/ranks.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

using testing::MessageOf;
using testing::RunRanks;

class ThreadWorldTest : public ::testing::TestWithParam<int> {
 protected:
  int size() const { return GetParam(); }
};

INSTANTIATE_TEST_SUITE_P(Ranks, ThreadWorldTest, ::testing::Range(1, 9));

TEST_P(ThreadWorldTest, ConnectsEveryRank) {
  std::vector<std::atomic<int>> seen(size());
  RunRanks(size(), [&](Communicator& comm) {
    EXPECT_EQ(comm.size(), size());
    ++seen[comm.rank()];
  });
  for (const auto& count : seen) EXPECT_EQ(count, 1);
}

TEST_P(ThreadWorldTest, AllReduceGivesTheSum) { RunRanks(size(), testing::CheckAllReduceSum); }
TEST_P(ThreadWorldTest, BroadcastGivesTheRootsValues) { RunRanks(size(), testing::CheckBroadcast); }
TEST_P(ThreadWorldTest, AllGatherGivesNumbersByRank) { RunRanks(size(), testing::CheckAllGatherOfNumbers); }
TEST_P(ThreadWorldTest, AllGatherGivesTextsOfDifferentLengths) {
  RunRanks(size(), testing::CheckAllGatherOfTexts);
}
TEST_P(ThreadWorldTest, AllToAllGivesEachRankItsParts) { RunRanks(size(), testing::CheckAllToAll); }
TEST_P(ThreadWorldTest, AllReduceWithFactorsLeavesRanksOut) {
  RunRanks(size(), testing::CheckAllReduceWithFactors);
}
TEST_P(ThreadWorldTest, LargeTensorsArriveWhole) { RunRanks(size(), testing::CheckLargeTensors); }
TEST_P(ThreadWorldTest, CollectivesFollowEachOther) { RunRanks(size(), testing::CheckManyInARow); }
TEST_P(ThreadWorldTest, SplitsIntoGroupsOfTheirOwn) { RunRanks(size(), testing::CheckSplit); }

TEST(ThreadWorldSplit, FailsWithTheWorld) {
  ThreadWorld world(4);
  const auto message = MessageOf<CommError>([&] {
    world.Run([&](int rank) {
      const auto comm = world.Connect(rank);
      const auto group = comm->Split(rank / 2, 1);
      if (rank == 3) throw CommError("its cable was cut");
      group->Barrier();
      comm->Barrier();
    });
  });
  EXPECT_EQ(message, "its cable was cut");
}

TEST_P(ThreadWorldTest, BarrierWaitsForAll) {
  std::atomic<int> arrived = 0;
  RunRanks(size(), [&](Communicator& comm) {
    for (int i = 1; i <= 100; ++i) {
      ++arrived;
      comm.Barrier();
      EXPECT_EQ(arrived, i * size());
      comm.Barrier();
    }
  });
}

TEST_P(ThreadWorldTest, SumsAreInRankOrderToTheBit) {
  torch::manual_seed(1);
  for (const std::int64_t length : testing::kTensorSizes) {
    std::vector<at::Tensor> terms;
    for (int rank = 0; rank < size(); ++rank)
      terms.push_back(torch::randn({length}) * std::pow(10.0, rank % 4));
    std::vector<float> expected(length);
    for (std::int64_t i = 0; i < length; ++i) {
      expected[i] = terms[0].data_ptr<float>()[i];
      for (int rank = 1; rank < size(); ++rank) expected[i] += terms[rank].data_ptr<float>()[i];
    }
    RunRanks(size(), [&](Communicator& comm) {
      const at::Tensor sum = terms[comm.rank()].clone();
      comm.AllReduceSum(sum);
      EXPECT_EQ(std::vector<float>(sum.data_ptr<float>(), sum.data_ptr<float>() + length), expected);
    });
  }
}

TEST_P(ThreadWorldTest, TwoWorldsDoNotMeet) {
  ThreadWorld other(size());
  RunRanks(size(), [&](Communicator& comm) {
    const auto second = other.Connect(comm.rank());
    for (int i = 0; i < 20; ++i) {
      const auto in_first = comm.AllGather(1.0), in_second = second->AllGather(2.0);
      EXPECT_EQ(in_first, std::vector<double>(size(), 1.0));
      EXPECT_EQ(in_second, std::vector<double>(size(), 2.0));
    }
  });
}

TEST(ThreadWorldFault, ARankThatNeverComesEndsTheOthersWaits) {
  const double begin = MonotonicSeconds();
  ThreadWorld world(4, std::chrono::seconds(2));
  std::vector<std::thread> threads;
  for (const int rank : {0, 1, 3}) {
    threads.emplace_back([&, rank] {
      const auto comm = world.Connect(rank);
      const std::string message = MessageOf<CommError>([&] { comm->Barrier(); });
      EXPECT_NE(message.find("waited 2 s for rank 2"), std::string::npos) << message;
      MessageOf<CommError>([&] { comm->AllGather(1.0); });  // the group stays broken
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LT(MonotonicSeconds() - begin, 30);
}

TEST(ThreadWorldFault, EveryKindOfCollectiveHasTheDeadline) {
  const at::Tensor tensor = torch::ones({3});
  double all = 0;
  const std::vector<std::function<void(Communicator&)>> collectives = {
      [&](Communicator& comm) { comm.AllReduceSum(tensor); },
      [&](Communicator& comm) { comm.Broadcast(tensor, 0); },
      [&](Communicator& comm) { comm.Broadcast(tensor, 1); },
      [&](Communicator& comm) { comm.AllGatherBytes(&all, 4, &all); },
      [&](Communicator& comm) { comm.AllGather(std::string("text")); }};
  for (const auto& collective : collectives) {
    ThreadWorld world(2, std::chrono::milliseconds(10));
    const std::string message = MessageOf<CommError>([&] { collective(*world.Connect(0)); });
    EXPECT_EQ(message, "rank 0 waited 0.01 s for rank 1");
  }
}

TEST(ThreadWorldFault, NamesAllThatAreMissing) {
  ThreadWorld world(4, std::chrono::milliseconds(10));
  EXPECT_EQ(MessageOf<CommError>([&] { world.Connect(1)->Barrier(); }),
            "rank 1 waited 0.01 s for rank 0, 2, 3");
}

// Whether the other thread waits already or comes later: it must learn the reason.
TEST(ThreadWorldFault, AbortReachesRanksThatWaitAndThoseThatCome) {
  for (int i = 0; i < 50; ++i) {
    ThreadWorld world(2);
    std::atomic<bool> comes = false;
    std::thread thread([&] {
      const auto comm = world.Connect(0);
      comes = true;
      EXPECT_EQ(MessageOf<CommError>([&] { comm->Barrier(); }), "the user left");
      EXPECT_EQ(MessageOf<CommError>([&] { comm->AllReduceSum(torch::ones({1})); }), "the user left");
    });
    while (!comes) std::this_thread::yield();
    world.Abort("the user left");
    world.Abort("another reason");
    thread.join();
    EXPECT_EQ(MessageOf<CommError>([&] { world.Connect(1)->Barrier(); }), "the user left");
  }
}

TEST(ThreadWorld, RunThrowsWhatTheFirstRankThrewAndEndsTheOthersWaits) {
  ThreadWorld world(3);
  std::atomic<int> released{0};
  const auto rank_main = [&](int rank) {
    const auto comm = world.Connect(rank);
    if (rank == 1) throw DataError("a page is missing");
    const std::string message = MessageOf<CommError>([&] { comm->Barrier(); });
    EXPECT_NE(message.find("worker 1 failed: a page is missing"), std::string::npos) << message;
    ++released;
    throw CommError(message);  // what follows from the first is not what is thrown
  };
  EXPECT_EQ(MessageOf<DataError>([&] { world.Run(rank_main); }), "a page is missing");
  EXPECT_EQ(released, 2);
}

TEST(ThreadWorld, RunEndsForAnythingThatIsThrown) {
  ThreadWorld world(2);
  const auto rank_main = [&](int rank) {
    if (rank == 0) throw 7;
    world.Connect(rank)->Barrier();
  };
  EXPECT_THROW(world.Run(rank_main), int);
}

TEST(ThreadWorld, CommunicatorsOutliveIt) {
  std::optional<ThreadWorld> world(2);
  const auto first = world->Connect(0), second = world->Connect(1);
  world.reset();
  std::thread thread([&] { EXPECT_EQ(first->AllGather(1.0), (std::vector<double>{1, 2})); });
  EXPECT_EQ(second->AllGather(2.0), (std::vector<double>{1, 2}));
  thread.join();
}

TEST(ThreadWorld, RefusesImpossibleSizesTimeoutsAndRanks) {
  EXPECT_NE(MessageOf<UsageError>([] { ThreadWorld world(0); }).find("0 workers"), std::string::npos);
  MessageOf<UsageError>([] { ThreadWorld world(-1); });
  MessageOf<UsageError>([] { ThreadWorld world(1, std::chrono::seconds(0)); });
  MessageOf<UsageError>([] { ThreadWorld world(1, std::chrono::duration<double>(std::nan(""))); });
  ThreadWorld world(2);
  EXPECT_EQ(MessageOf<UsageError>([&] { world.Connect(2); }),
            "rank 2 in a world of 2; it must be from 0 to 1");
  EXPECT_EQ(MessageOf<UsageError>([&] { world.Connect(-1); }),
            "rank -1 in a world of 2; it must be from 0 to 1");
}

}  // namespace
}  // namespace swarmsync
