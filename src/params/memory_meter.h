#pragma once

#include <cstdint>

namespace c10 {
struct Allocator;
}

namespace swarmsync {

// While one lives, what tensors take of the CPU's memory is counted, in the whole process, in pieces of at
// least so many bytes. One at a time.
class MemoryMeter {
 public:
  explicit MemoryMeter(std::int64_t least_bytes = 0);
  ~MemoryMeter();
  MemoryMeter(const MemoryMeter&) = delete;
  MemoryMeter& operator=(const MemoryMeter&) = delete;

  // Any thread.
  std::int64_t held() const;    // bytes, now
  std::int64_t peak() const;    // the most since the last ForgetPeak()
  std::int64_t pieces() const;  // that were taken since it began
  void ForgetPeak();

 private:
  c10::Allocator* before_;
};

}  // namespace swarmsync
