#include "swarmsync/comm/link.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "comm/collective_checks.h"
#include "support/errors.h"
#include "support/ranks.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

using testing::MessageOf;
using testing::RunRanks;

constexpr Link kLink{1e6, 0.01};  // 125,000 bytes a second

TEST(LinkTest, ACollectiveTakesWhatItsAlgorithmSays) {
  // There and back, 3 parts of 250 bytes leave each rank at once.
  EXPECT_DOUBLE_EQ(kLink.AllReduceSeconds(4, 1000), 2 * (0.01 + 0.006));
  EXPECT_DOUBLE_EQ(kLink.AllReduceSeconds(5, 1000), 2 * (0.01 + 0.0064));
  EXPECT_DOUBLE_EQ(kLink.AllToAllSeconds(4, 1000), 0.01 + 0.024);
}

TEST(LinkTest, ABroadcastGoesByTheSizeOfTheMessage) {
  EXPECT_DOUBLE_EQ(kLink.BroadcastSeconds(4, 1000), 0.01 + 0.024) << "from the root to each";
  EXPECT_DOUBLE_EQ(kLink.BroadcastSeconds(9, 1'000'000), 4 * (0.01 + 8)) << "down a tree of four levels";
  // Sixteen pieces, the last of which reaches the fourth rank two steps after it left the root.
  const std::size_t bytes = 48 << 20;
  EXPECT_DOUBLE_EQ(kLink.BroadcastSeconds(4, bytes), 3 * 0.01 + 18 * 3 * 1.048576 * 8);
}

TEST(LinkTest, AWorkerAloneWaitsForNothing) {
  EXPECT_EQ(kLink.AllReduceSeconds(1, 1000), 0);
  EXPECT_EQ(kLink.BroadcastSeconds(1, 1000), 0);
  EXPECT_EQ(kLink.AllToAllSeconds(1, 1000), 0);
}

TEST(LinkTest, AreWrittenAsTheyAreRead) {
  for (const char* text : {"none", "100mbit,20ms", "1.5gbit", "56kbit,300ms", "10gbit,5us", "1mbit,2s"})
    EXPECT_EQ(ToString(ParseLink(text)), text);
  EXPECT_EQ(ToString(ParseLink("0.1gbit,0.02s")), "100mbit,20ms");
  EXPECT_FALSE(ParseLink("none").emulated());
  EXPECT_DOUBLE_EQ(ParseLink("100mbit,20ms").bits_per_second, 1e8);
  EXPECT_DOUBLE_EQ(ParseLink("100mbit,20ms").latency_seconds, 0.02);
}

TEST(LinkTest, OthersAreRefusedWithTheirText) {
  for (const char* text : {"", "100", "100mb", "mbit", "0mbit", "-1mbit", "100mbit,", "100mbit,20",
                           "100mbit,-1ms", "100mbit;20ms", "20ms,100mbit", "nanmbit", "infgbit"}) {
    EXPECT_EQ(MessageOf<UsageError>([&] { ParseLink(text); }),
              std::string("'") + text +
                  "'; it must be none, or a rate and a latency such as 100mbit,20ms (kbit, mbit, gbit; us, "
                  "ms, s)");
  }
}

class LinkedCommunicatorTest : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, LinkedCommunicatorTest, ::testing::Range(1, 6));

TEST_P(LinkedCommunicatorTest, ChangesNoResult) {
  RunRanks(GetParam(), [](Communicator& comm) {
    LinkedCommunicator linked(comm, {1e12, 0});
    EXPECT_EQ(linked.rank(), comm.rank());
    EXPECT_EQ(linked.size(), comm.size());
    testing::CheckCollectives(linked);
  });
}

TEST_P(LinkedCommunicatorTest, LetsEachCollectiveLastAsLong) {
  RunRanks(GetParam(), [](Communicator& comm) {
    LinkedCommunicator linked(comm, kLink);
    const auto seconds = [](auto&& collective) {
      const double begin = MonotonicSeconds();
      collective();
      return MonotonicSeconds() - begin;
    };
    const at::Tensor tensor = torch::ones({500});
    EXPECT_GE(seconds([&] { linked.AllReduceSum(tensor); }), kLink.AllReduceSeconds(comm.size(), 2000));
    EXPECT_GE(seconds([&] { linked.Broadcast(tensor, 0); }), kLink.BroadcastSeconds(comm.size(), 2000));
    EXPECT_GE(seconds([&] { linked.AllGather(std::vector<double>(250)); }),
              kLink.AllToAllSeconds(comm.size(), 2000));
    std::vector<char> parts(static_cast<std::size_t>(500 * comm.size())), arrived(parts.size());
    EXPECT_GE(seconds([&] { linked.AllToAllBytes(parts.data(), 500, arrived.data()); }),
              kLink.AllToAllSeconds(comm.size(), 500));
  });
}

TEST(LinkedCommunicator, AGroupWithinAHostHasNoLink) {
  RunRanks(4, [](Communicator& comm) {
    LinkedCommunicator linked(comm, kLink, /*ranks_per_host=*/2);
    const auto within = linked.Split(comm.rank() / 2, 1), between = linked.Split(comm.rank() % 2, 1);
    const auto seconds = [](Communicator& group) {
      const at::Tensor tensor = torch::ones({10'000});
      const double begin = MonotonicSeconds();
      group.AllReduceSum(tensor);
      return MonotonicSeconds() - begin;
    };
    EXPECT_LT(seconds(*within), 0.5 * kLink.AllReduceSeconds(2, 40'000));
    EXPECT_GE(seconds(*between), kLink.AllReduceSeconds(2, 40'000));
  });
}

TEST(LinkedCommunicator, WithoutALinkItPassesOn) {
  RunRanks(2, [](Communicator& comm) {
    LinkedCommunicator linked(comm, {});
    testing::CheckCollectives(linked);
  });
}

}  // namespace
}  // namespace swarmsync
