#pragma once

#include <chrono>

namespace swarmsync {

// Seconds on the machine's monotonic clock: the same clock in every process of a host, never set back.
inline double MonotonicSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Adds the time between two Lap() calls to whichever account is named: each moment is counted once.
class LapTimer {
 public:
  LapTimer() : last_(MonotonicSeconds()) {}

  // Seconds since the previous Lap() or the construction.
  double Lap() {
    const double now = MonotonicSeconds();
    const double seconds = now - last_;
    last_ = now;
    return seconds;
  }

  // When that was.
  double last() const { return last_; }

 private:
  double last_;
};

}  // namespace swarmsync
