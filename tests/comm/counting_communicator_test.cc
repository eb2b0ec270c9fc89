#include "swarmsync/comm/counting_communicator.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "comm/collective_checks.h"
#include "support/errors.h"
#include "support/ranks.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

using testing::MessageOf;
using testing::RunRanks;

class CountingCommunicatorTest : public ::testing::TestWithParam<int> {
 protected:
  std::int64_t size() const { return GetParam(); }
};

INSTANTIATE_TEST_SUITE_P(Ranks, CountingCommunicatorTest, ::testing::Range(1, 6));

TEST_P(CountingCommunicatorTest, ChangesNoResult) {
  RunRanks(GetParam(), [](Communicator& comm) {
    CountingCommunicator counting(comm);
    EXPECT_EQ(counting.rank(), comm.rank());
    EXPECT_EQ(counting.size(), comm.size());
    testing::CheckCollectives(counting);
  });
}

TEST_P(CountingCommunicatorTest, ChargesEachCollectiveByItsAlgorithm) {
  RunRanks(GetParam(), [&](Communicator& comm) {
    CountingCommunicator counting(comm);
    EXPECT_EQ(counting.traffic().bytes_all_ranks, 0);

    counting.AllReduceSum(torch::ones({1009}));  // 4036 bytes
    std::int64_t bytes = 2 * (size() - 1) * 4036;
    EXPECT_EQ(counting.traffic().all_reduces, 1);
    EXPECT_EQ(counting.traffic().bytes_all_ranks, bytes);

    counting.Broadcast(torch::ones({7}, at::kDouble), comm.size() - 1);  // 56 bytes
    bytes += (size() - 1) * 56;
    EXPECT_EQ(counting.traffic().broadcasts, 1);
    EXPECT_EQ(counting.traffic().bytes_all_ranks, bytes);

    counting.AllGather(std::vector<double>(5));  // 40 bytes from each rank
    bytes += size() * (size() - 1) * 40;
    EXPECT_EQ(counting.traffic().all_gathers, 1);
    EXPECT_EQ(counting.traffic().bytes_all_ranks, bytes);

    counting.AllGather(
        std::string(comm.rank() == 0 ? 11 : 2, 'x'));  // its length, then 11 bytes from each rank
    bytes += size() * (size() - 1) * (8 + 11);
    EXPECT_EQ(counting.traffic().all_gathers, 3);
    EXPECT_EQ(counting.traffic().bytes_all_ranks, bytes);

    std::vector<char> parts(static_cast<std::size_t>(13 * comm.size())), arrived(parts.size());
    counting.AllToAllBytes(parts.data(), 13, arrived.data());
    bytes += size() * (size() - 1) * 13;
    EXPECT_EQ(counting.traffic().all_to_alls, 1);
    EXPECT_EQ(counting.traffic().bytes_all_ranks, bytes);

    counting.Barrier();
    bytes += size() * (size() - 1) * 8;
    EXPECT_EQ(counting.traffic().all_gathers, 4);
    EXPECT_EQ(counting.traffic().bytes_all_ranks, bytes);
    EXPECT_EQ(counting.traffic().all_reduces, 1);
    EXPECT_EQ(counting.traffic().broadcasts, 1);
  });
}

TEST(CountingCommunicator, CountsWhatGroupsSendAndWhatLeavesAHost) {
  RunRanks(4, [](Communicator& comm) {
    CountingCommunicator counting(comm, /*ranks_per_host=*/2);
    const auto within = counting.Split(comm.rank() / 2, 1),
               between = counting.Split(comm.rank() % 2 == 0 ? 0 : -1, 1);
    const SentBytes before = counting.sent();
    const Traffic traffic = counting.traffic();
    within->AllReduceSum(torch::ones({100}));  // there and back, 400 bytes from each of two
    EXPECT_EQ(counting.sent().all - before.all, 400);
    EXPECT_EQ(counting.sent().between_hosts, before.between_hosts);
    if (between) between->Broadcast(torch::ones({100}), 1);  // 400 bytes from one of two
    EXPECT_EQ(counting.sent().all - before.all, between ? 600 : 400);
    EXPECT_EQ(counting.sent().between_hosts - before.between_hosts, between ? 200 : 0);
    EXPECT_EQ(counting.traffic().all_reduces, traffic.all_reduces + 1) << "calls of groups are among all";
    EXPECT_EQ(counting.traffic().bytes_all_ranks, traffic.bytes_all_ranks);
    counting.AllGather(1.0);
    EXPECT_DOUBLE_EQ(counting.sent().between_hosts - before.between_hosts, (between ? 200 : 0) + 16)
        << "24, to two of three";
  });
}

TEST(CountingCommunicator, DoesNotOverflowOnLargeMessages) {
  // Nothing is sent: a world that has been aborted refuses the call, which is counted all the same.
  ThreadWorld world(8);
  world.Abort("no network");
  const auto comm = world.Connect(0);
  CountingCommunicator counting(*comm);
  const at::Tensor billion = torch::zeros({1}).expand({1'000'000'000});  // claims 4 GB, takes 4 bytes
  EXPECT_EQ(MessageOf<CommError>([&] { counting.AllReduceSum(billion); }), "no network");
  EXPECT_EQ(counting.traffic().all_reduces, 1);
  EXPECT_EQ(counting.traffic().bytes_all_ranks, 56'000'000'000);
}

}  // namespace
}  // namespace swarmsync
