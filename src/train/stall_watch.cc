#include "train/stall_watch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "comm/long_waits.h"
#include "swarmsync/base/clock.h"

namespace swarmsync {
namespace {

constexpr double kLong = 10;  // seconds, where the timeout is not near

std::string Describe(const Wait& wait, double now, bool of_groups) {
  const std::string whom =
      wait.awaited.empty()
          ? "others"
          : fmt::format("rank{} {}", wait.awaited.size() == 1 ? "" : "s", fmt::join(wait.awaited, ", "));
  return fmt::format("rank {} of {}{} has waited {:.1f} s for {} in an exchange, and gives up after {:g} s",
                     wait.rank, wait.size, of_groups ? " (of all, or of a group)" : "", now - wait.since,
                     whom, wait.timeout);
}

}  // namespace

StallWatch::StallWatch(const Options& options, std::function<void(const std::string& line)> tell)
    : options_(options), tell_(std::move(tell)), thread_([this] { Watch(); }) {}

StallWatch::~StallWatch() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    over_ = true;
  }
  ends_.notify_all();
  thread_.join();
}

void StallWatch::Watch() {
  const double patience = std::min(kLong, options_.timeout / 4);
  std::set<double> told;  // by their beginnings
  std::unique_lock<std::mutex> lock(mutex_);
  while (!ends_.wait_for(lock, std::chrono::duration<double>(patience / 4), [this] { return over_; })) {
    lock.unlock();
    const double now = MonotonicSeconds();
    for (const Wait& wait : WaitsBegunBefore(now - patience)) {
      if (wait.tells() && told.insert(wait.since).second) tell_(Describe(wait, now, options_.of_groups));
    }
    lock.lock();
  }
}

}  // namespace swarmsync
