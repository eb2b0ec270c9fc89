#include "comm/long_waits.h"

#include <gtest/gtest.h>

#include <thread>

#include "swarmsync/base/clock.h"
#include "swarmsync/comm/thread_world.h"

namespace swarmsync {
namespace {

TEST(Wait, OneOfThoseThatWaitTells) {
  EXPECT_TRUE((Wait{0, 4, 0, 60, {2}}).tells());
  EXPECT_FALSE((Wait{1, 4, 0, 60, {2}}).tells());
  EXPECT_TRUE((Wait{1, 4, 0, 60, {0}}).tells());
  EXPECT_TRUE((Wait{2, 4, 0, 60, {0, 1, 3}}).tells());
  EXPECT_TRUE((Wait{0, 4, 0, 60, {}}).tells());
  EXPECT_FALSE((Wait{3, 4, 0, 60, {}}).tells());
}

TEST(LongWaits, ThreadsShowWhomTheyWaitFor) {
  ThreadWorld world(3, std::chrono::seconds(30));
  EXPECT_TRUE(WaitsBegunBefore(MonotonicSeconds()).empty());
  std::vector<Wait> seen;
  const double begin = MonotonicSeconds();
  world.Run([&](int rank) {
    const auto comm = world.Connect(rank);
    if (rank == 1) {  // comes when the others are seen to wait for it
      while (seen.size() < 2 && MonotonicSeconds() < begin + 20) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        seen = WaitsBegunBefore(MonotonicSeconds() - 0.1);
      }
    }
    comm->Barrier();
  });
  ASSERT_EQ(seen.size(), 2u);
  for (const Wait& wait : seen) {
    EXPECT_EQ(wait.awaited, std::vector<int>{1});
    EXPECT_EQ(wait.size, 3);
    EXPECT_EQ(wait.timeout, 30);
    EXPECT_GE(wait.since, begin);
  }
  EXPECT_NE(seen[0].rank, seen[1].rank);
  EXPECT_TRUE(WaitsBegunBefore(MonotonicSeconds() + 1).empty());
}

}  // namespace
}  // namespace swarmsync
