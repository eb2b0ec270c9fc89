#include "params/memory_meter.h"

#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <unordered_map>

namespace swarmsync {
namespace {

constexpr std::uint8_t kPriority = 255;

// libtorch's allocator of the CPU, with what it gives counted. Some of its callers keep nothing but the
// address, so sizes are kept by it.
class CountingAllocator : public c10::Allocator {
 public:
  // Without `override`: 1.13 has the first of these alone, 2.3 the two others.
  at::DataPtr allocate(std::size_t bytes) const { return Allocate(bytes); }
  at::DataPtr allocate(std::size_t bytes) { return Allocate(bytes); }
  void copy_data(void* to, const void* from, std::size_t bytes) const { std::memcpy(to, from, bytes); }
  c10::DeleterFnPtr raw_deleter() const { return &Release; }

  std::atomic<std::int64_t> least_{0};
  mutable std::atomic<std::int64_t> held_{0}, peak_{0}, pieces_{0};

 private:
  at::DataPtr Allocate(std::size_t bytes) const {
    void* const data = inner_->raw_allocate(bytes);
    Note(data, static_cast<std::int64_t>(bytes));
    return {data, data, &Release, at::kCPU};
  }
  void Note(void* data, std::int64_t size) const {
    if (data == nullptr || size < least_) return;
    const std::lock_guard lock(mutex_);
    sizes_[data] = size;
    ++pieces_;
    held_ += size;
    peak_ = std::max(peak_.load(), held_.load());
  }
  void Forget(void* data) const {
    const std::lock_guard lock(mutex_);
    const auto found = sizes_.find(data);
    if (found == sizes_.end()) return;
    held_ -= found->second;
    sizes_.erase(found);
  }
  static void Release(void* data);

  c10::Allocator* inner_ = c10::GetDefaultCPUAllocator();
  mutable std::mutex mutex_;
  mutable std::unordered_map<void*, std::int64_t> sizes_;
};

// Tensors keep their allocator and may outlive everything else.
CountingAllocator& Counter() {
  static auto* const counter = new CountingAllocator;
  return *counter;
}

void CountingAllocator::Release(void* data) {
  Counter().Forget(data);
  Counter().inner_->raw_deallocate(data);
}

}  // namespace

MemoryMeter::MemoryMeter(std::int64_t least_bytes) : before_(c10::GetCPUAllocator()) {
  Counter().least_ = least_bytes;
  ForgetPeak();
  c10::SetCPUAllocator(&Counter(), kPriority);
}

MemoryMeter::~MemoryMeter() { c10::SetCPUAllocator(before_, kPriority); }

std::int64_t MemoryMeter::held() const { return Counter().held_; }
std::int64_t MemoryMeter::peak() const { return Counter().peak_; }
std::int64_t MemoryMeter::pieces() const { return Counter().pieces_; }
void MemoryMeter::ForgetPeak() { Counter().peak_ = held(); }

}  // namespace swarmsync
