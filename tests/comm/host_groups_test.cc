#include "comm/host_groups.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "comm/collective_checks.h"
#include "support/errors.h"
#include "support/ranks.h"
#include "swarmsync/base/error.h"
#include "swarmsync/comm/counting_communicator.h"

namespace swarmsync {
namespace {

using testing::MessageOf;
using testing::RunRanks;

struct Shape {
  int workers, group_size;
};
void PrintTo(const Shape& shape, std::ostream* out) {
  *out << shape.workers << " in groups of " << shape.group_size;
}

class HostGroupsTest : public ::testing::TestWithParam<Shape> {};
INSTANTIATE_TEST_SUITE_P(Shapes, HostGroupsTest,
                         ::testing::Values(Shape{4, 2}, Shape{6, 2}, Shape{6, 3}, Shape{3, 3}, Shape{3, 1}));

TEST_P(HostGroupsTest, EachWayToTalkDoesWhatEveryCommunicatorMust) {
  RunRanks(GetParam().workers, [&](Communicator& world) {
    HostGroups groups(world, GetParam().group_size);
    EXPECT_EQ(groups.members().size(), GetParam().group_size);
    EXPECT_EQ(groups.members().rank(), world.rank() % GetParam().group_size);
    EXPECT_EQ(groups.groups().size(), GetParam().workers / GetParam().group_size);
    EXPECT_EQ(groups.groups().rank(), world.rank() / GetParam().group_size);
    EXPECT_EQ(groups.everyone().size(), world.size());
    EXPECT_EQ(groups.everyone().rank(), world.rank());
    testing::CheckCollectives(groups.members());
    testing::CheckCollectives(groups.everyone());
    testing::CheckAllReduceSum(groups.groups());
    testing::CheckAllReduceWithFactors(groups.groups());
    testing::CheckBroadcast(groups.groups());
    testing::CheckAllGatherOfNumbers(groups.groups());
    testing::CheckAllGatherOfTexts(groups.groups());
    testing::CheckAllToAll(groups.groups());
    testing::CheckManyInARow(groups.groups());
  });
}

TEST(HostGroups, OnlyLeadersTalkToOtherGroups) {
  RunRanks(6, [](Communicator& world) {
    CountingCommunicator counting(world, 3);
    HostGroups groups(counting, 3);
    const SentBytes before = counting.sent();
    groups.everyone().AllReduceSum(torch::ones({300}));  // 1200 bytes
    const SentBytes after = counting.sent();
    const bool leads = world.rank() % 3 == 0;
    EXPECT_EQ(after.between_hosts - before.between_hosts, leads ? 1200 : 0);
    // A sum of three, and what the leader sends to its members.
    EXPECT_EQ(after.all - before.all, 1600 + 800 + (leads ? 1200 : 0));
  });
}

TEST(HostGroups, MustBeOfEqualSize) {
  RunRanks(4, [](Communicator& world) {
    EXPECT_EQ(MessageOf<UsageError>([&] { HostGroups(world, 3); }),
              "group_size is 3; it must divide the number of workers, 4");
  });
}

}  // namespace
}  // namespace swarmsync
