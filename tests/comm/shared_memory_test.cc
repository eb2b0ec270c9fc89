// Ranks that are threads here, each with a mapping of its own; gloo_test.cc has processes.

#include "swarmsync/comm/shared_memory.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "comm/collective_checks.h"
#include "support/errors.h"
#include "support/ranks.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

using testing::MessageOf;

// Calls rank_main(comm) as every rank of a group that shares memory.
template <class F>
void RunShared(int size, F&& rank_main, std::chrono::duration<double> timeout = std::chrono::seconds(60)) {
  ThreadWorld world(size);
  world.Run([&](int rank) {
    auto inner = world.Connect(rank);
    const Communicator* const before = inner.get();
    const auto comm = ThroughSharedMemory(std::move(inner), timeout);
    ASSERT_TRUE(size == 1 || comm.get() != before) << "no memory is shared";
    rank_main(*comm);
  });
}

class SharedMemoryTest : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, SharedMemoryTest, ::testing::Range(1, 8));

TEST_P(SharedMemoryTest, EveryCollectiveGivesItsResult) { RunShared(GetParam(), testing::CheckCollectives); }

TEST(SharedMemory, SumsHaveTheBitsOfOtherGroups) {
  for (const std::int64_t size : {5, 100'003, 700'001}) {
    std::vector<at::Tensor> sums(2);
    const auto sum_into = [&](at::Tensor& result) {
      return [&result, size](Communicator& comm) {
        const at::Tensor tensor = torch::arange(size, at::kFloat).mul_(0.37 * (comm.rank() + 1)).sin_();
        comm.AllReduce(tensor, {0.1, 0, 0.7, 1.3}, tensor);
        if (comm.rank() == 0) result = tensor;
      };
    };
    RunShared(4, sum_into(sums[0]));
    testing::RunRanks(4, sum_into(sums[1]));
    EXPECT_TRUE(sums[0].equal(sums[1])) << size;
  }
}

// Messages just as long as a slot, and one more.
TEST(SharedMemory, MessagesOfAnyLengthArrive) {
  RunShared(3, [](Communicator& comm) {
    for (const std::int64_t bytes : {(1 << 20) - 1, 1 << 20, (1 << 20) + 1, (3 << 20) + 5}) {
      at::Tensor tensor = torch::full({bytes}, comm.rank() + 1, at::kByte);
      comm.Broadcast(tensor, 2);
      EXPECT_TRUE(tensor.eq(3).all().item<bool>()) << bytes;
      const std::string mine(static_cast<std::size_t>(bytes), static_cast<char>('a' + comm.rank()));
      const auto all = comm.AllGather(mine);
      for (int rank = 0; rank < 3; ++rank)
        EXPECT_TRUE(all[static_cast<std::size_t>(rank)] ==
                    std::string(mine.size(), static_cast<char>('a' + rank)));
    }
  });
}

// Nobody may use such a group again, not even the rank that was late.
TEST(SharedMemory, ARankThatDoesNotComeEndsTheWaitOfAll) {
  std::atomic<int> failed = 0;
  RunShared(
      3,
      [&](Communicator& comm) {
        const auto fails = [&] {
          EXPECT_EQ(MessageOf<CommError>([&] { comm.AllReduceSum(torch::ones({3})); }),
                    "all-reduce failed on rank " + std::to_string(comm.rank()) +
                        " of 3: rank 1 did not come within 2 s");
        };
        while (comm.rank() == 1 && failed < 2) std::this_thread::sleep_for(std::chrono::milliseconds(10));
        fails();
        ++failed;
        fails();
        while (failed < 3) std::this_thread::sleep_for(std::chrono::milliseconds(10));
      },
      std::chrono::seconds(2));
}

TEST(SharedMemory, ARankThatHasLeftEndsTheWaitAtOnce) {
  const double begin = MonotonicSeconds();
  RunShared(2, [](Communicator& comm) {
    if (comm.rank() == 1) return;
    EXPECT_EQ(MessageOf<CommError>([&] { comm.Broadcast(torch::ones({3}), 1); }),
              "broadcast failed on rank 0 of 2: rank 1 has left");
  });
  EXPECT_LT(MonotonicSeconds() - begin, 30);
}

// Ranks 0 and 1 on one host, 2 and 3 on another.
TEST(SharedMemory, PartsOnAHostShareItWhereTheWholeCannot) {
  ThreadWorld world(4);
  world.Run([&](int rank) {
    const auto comm = ThroughSharedMemory(world.Connect(rank), std::chrono::seconds(1), rank < 2 ? "a" : "b");
    testing::CheckCollectives(*comm);
    const auto part = comm->Split(rank / 2, 1);
    testing::CheckCollectives(*part);
    // Such a part knows at once that a rank has left; the world of threads would wait a minute for it.
    if (rank % 2 == 1) return;
    EXPECT_EQ(MessageOf<CommError>([&] { part->Broadcast(torch::ones({1}), 1); }),
              "broadcast failed on rank 0 of 2: rank 1 has left");
  });
}

TEST(SharedMemory, CanBeSwitchedOff) {
  setenv("SWARMSYNC_SHM_DISABLE", "1", 1);
  ThreadWorld world(2);
  world.Run([&](int rank) {
    auto plain = world.Connect(rank);
    const Communicator* const before = plain.get();
    EXPECT_EQ(ThroughSharedMemory(std::move(plain), std::chrono::seconds(5)).get(), before);
  });
  unsetenv("SWARMSYNC_SHM_DISABLE");
}

}  // namespace
}  // namespace swarmsync
