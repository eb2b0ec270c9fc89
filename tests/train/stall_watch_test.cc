#include "train/stall_watch.h"

#include <gtest/gtest.h>

#include <vector>

#include "comm/long_waits.h"
#include "swarmsync/base/clock.h"

namespace swarmsync {
namespace {

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

TEST_F(StallWatchTest, TellsOnceOfAWaitThatLasts) {
  const StallWatch watch(0.8, Tell());
  LongWait wait({0, 4, MonotonicSeconds(), {}});
  wait.Awaits({1, 3});
  const LongWait of_another({2, 4, MonotonicSeconds(), {1, 3}});  // rank 0 tells of it
  for (const double deadline = MonotonicSeconds() + 20; told().empty() && MonotonicSeconds() < deadline;)
    Sleep(0.01);
  Sleep(0.5);
  ASSERT_EQ(told().size(), 1u);
  EXPECT_EQ(told()[0].find("rank 0 of 4 has waited 0."), 0u) << told()[0];
  EXPECT_NE(told()[0].find("for ranks 1, 3 in an exchange, and gives up after 0.8 s"), std::string::npos)
      << told()[0];
}

TEST_F(StallWatchTest, SaysNothingOfShortWaitsAndEndsAtOnce) {
  const double begin = MonotonicSeconds();
  {
    const StallWatch watch(1000, Tell());
    const LongWait wait({0, 2, MonotonicSeconds(), {1}});
    Sleep(0.1);
  }
  EXPECT_LT(MonotonicSeconds() - begin, 5);
  EXPECT_TRUE(told().empty());
}

}  // namespace
}  // namespace swarmsync
