#include "train/shared_clock.h"

#include <gtest/gtest.h>

#include <vector>

#include "swarmsync/comm/thread_world.h"

namespace swarmsync {
namespace {

TEST(SplitWaiting, IsWaitingUntilTheLastOneArrives) {
  const std::vector<SyncSpan> spans{{10, 3}, {20, 1}, {30, 2.5}, {40, 0.5}};
  const std::vector<double> last_arrivals{12, 20, 30.25, 40.125};
  const WaitingSplit split = SplitWaiting(spans, last_arrivals);
  EXPECT_EQ(split.wait, 2 + 0 + 0.25 + 0.125);
  EXPECT_EQ(split.sync, 1 + 1 + 2.25 + 0.375);
}

TEST(SplitWaiting, NeverGivesLessThanNothingOrMoreThanThereIs) {
  // By a clock that is a little off, the last one came before this one or after the end.
  const WaitingSplit split = SplitWaiting({{10, 3}, {20, 1}}, {9.5, 25});
  EXPECT_EQ(split.wait, 0 + 1);
  EXPECT_EQ(split.sync, 3 + 0);
}

TEST(SplitWaiting, OfNothingIsNothing) {
  const WaitingSplit split = SplitWaiting({}, {});
  EXPECT_EQ(split.wait, 0);
  EXPECT_EQ(split.sync, 0);
}

TEST(ClockOffset, IsExactlyNothingOnOneHost) {
  ThreadWorld world(3);
  std::vector<double> offsets(3, -1);
  world.Run([&](int rank) { offsets[static_cast<std::size_t>(rank)] = ClockOffset(*world.Connect(rank)); });
  EXPECT_EQ(offsets, (std::vector<double>{0, 0, 0}));
}

}  // namespace
}  // namespace swarmsync
