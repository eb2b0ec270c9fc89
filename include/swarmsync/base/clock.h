#pragma once

#include <chrono>

namespace swarmsync {

// Seconds on the machine's monotonic clock: the same clock in every process of a host, never set back.
inline double MonotonicSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Measures laps: the time from one Lap() to the next, so that each moment is counted once. Not thread-safe.
class LapTimer {
 public:
  // The first lap begins.
  LapTimer() : last_(MonotonicSeconds()) {}

  // Seconds since the previous Lap() or the construction.
  double Lap() {
    const double now = MonotonicSeconds();
    const double seconds = now - last_;
    last_ = now;
    return seconds;
  }

  // When that was: MonotonicSeconds() at the last Lap(), or at the construction.
  double last() const { return last_; }

 private:
  double last_;
};

}  // namespace swarmsync
