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
  struct Options {
    double timeout = 60;     // of the collectives, in seconds; it is told long before it is over
    bool of_groups = false;  // ranks are those of groups, too
  };
  // tell: called by a thread of its own, once for each such wait; does not throw.
  StallWatch(const Options& options, std::function<void(const std::string& line)> tell);
  ~StallWatch();
  StallWatch(const StallWatch&) = delete;
  StallWatch& operator=(const StallWatch&) = delete;

 private:
  void Watch();

  Options options_;
  std::function<void(const std::string& line)> tell_;
  std::mutex mutex_;
  std::condition_variable ends_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace swarmsync
