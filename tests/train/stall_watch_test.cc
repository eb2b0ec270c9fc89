#include "train/stall_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "comm/long_waits.h"
#include "swarmsync/base/clock.h"

namespace swarmsync {
namespace {

using ::testing::ElementsAre;
using ::testing::MatchesRegex;

class StallWatchTest : public ::testing::Test {
 protected:
  std::function<void(const std::string&)> Tell() {
    return [this](const std::string& line) {
      const std::lock_guard<std::mutex> lock(mutex_);
      told_.push_back(line);
    };
  }
  std::vector<std::string> told() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return told_;
  }
  void Sleep(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

  std::mutex mutex_;
  std::vector<std::string> told_;
};

TEST_F(StallWatchTest, TellsOfALongWaitOnce) {
  const StallWatch watch({0.8}, Tell());
  LongWait wait({0, 4, MonotonicSeconds(), 0.8, {}});
  wait.Awaits({1, 3});
  const LongWait of_another({2, 4, MonotonicSeconds(), 0.8, {1, 3}});  // rank 0 tells of it
  for (const double deadline = MonotonicSeconds() + 20; told().empty() && MonotonicSeconds() < deadline;)
    Sleep(0.01);
  Sleep(0.5);
  EXPECT_THAT(told(),
              ElementsAre(MatchesRegex("rank 0 of 4 has waited [0-9.]+ s for ranks 1, 3 in an exchange, "
                                       "and gives up after 0.8 s")));
}

TEST_F(StallWatchTest, SaysWhereRanksMayBeThoseOfAGroup) {
  const StallWatch watch({0.8, true}, Tell());
  const LongWait wait({1, 2, MonotonicSeconds(), 80, {0}});
  for (const double deadline = MonotonicSeconds() + 20; told().empty() && MonotonicSeconds() < deadline;)
    Sleep(0.01);
  EXPECT_THAT(told(),
              ElementsAre(MatchesRegex("rank 1 of 2 .of all, or of a group. has waited [0-9.]+ s for rank 0 "
                                       "in an exchange, and gives up after 80 s")));
}

TEST_F(StallWatchTest, SaysNothingOfShortWaits) {
  const StallWatch watch({8}, Tell());  // looks every half second for what has lasted for two
  for (int i = 0; i < 3; ++i) {
    const LongWait wait({0, 2, MonotonicSeconds(), 8, {1}});
    Sleep(0.6);
  }
  EXPECT_TRUE(told().empty());
}

TEST_F(StallWatchTest, EndsAtOnce) {
  const double begin = MonotonicSeconds();
  { const StallWatch watch({1000}, Tell()); }
  EXPECT_LT(MonotonicSeconds() - begin, 5);
}

}  // namespace
}  // namespace swarmsync
