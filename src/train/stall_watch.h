#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace swarmsync {

// Tells, while it lives, of every collective of this process that waits for other ranks for long: for whom,
// since when, and when it will give up.
class StallWatch {
 public:
  // timeout: of the collectives, in seconds. tell: called by a thread of its own, once for each such wait,
  // and long before the timeout.
  StallWatch(double timeout, std::function<void(const std::string& line)> tell);
  ~StallWatch();
  StallWatch(const StallWatch&) = delete;
  StallWatch& operator=(const StallWatch&) = delete;

 private:
  void Watch();

  double timeout_;
  std::function<void(const std::string& line)> tell_;
  std::mutex mutex_;
  std::condition_variable ends_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace swarmsync
