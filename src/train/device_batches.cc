#include "train/device_batches.h"

#include <ATen/ATen.h>

#include <chrono>
#include <thread>

#include "comm/current_stream.h"

namespace swarmsync {

DeviceBatches::DeviceBatches(std::int64_t places, std::int64_t batch, const ImageShape& shape,
                             const at::Device& device, at::MemoryFormat format)
    : device_(device), format_(format) {
  const std::vector<std::int64_t> sizes{batch, shape.channels, shape.height, shape.width};
  const auto host = at::TensorOptions().pinned_memory(!device.is_cpu());
  for (std::int64_t i = 0; i < places; ++i) {
    host_.push_back({at::empty(sizes, host), at::empty({batch}, host.dtype(at::kLong))});
  }
  if (device.is_cpu()) return;
  arrived_ = {at::empty(sizes, device), at::empty({batch}, at::device(device).dtype(at::kLong))};
  on_device_ = {arrived_.images.contiguous(format), arrived_.labels};
  copied_.emplace(device.type());
}

BatchMemory DeviceBatches::host(std::size_t place) const {
  return {host_[place].images.data_ptr<float>(), host_[place].labels.data_ptr<std::int64_t>()};
}

std::vector<BatchMemory> DeviceBatches::hosts() const {
  std::vector<BatchMemory> all;
  for (std::size_t place = 0; place < host_.size(); ++place) all.push_back(host(place));
  return all;
}

DeviceBatches::Batch DeviceBatches::Bring(std::size_t place, std::int64_t count) {
  const auto first = [count](const Batch& batch) -> Batch {
    return {batch.images.narrow(0, 0, count), batch.labels.narrow(0, 0, count)};
  };
  const Batch from = first(host_[place]);
  if (device_.is_cpu()) return {from.images.contiguous(format_), from.labels};
  const Batch arrived = first(arrived_), to = first(on_device_);
  arrived.images.copy_(from.images, /*non_blocking=*/true);
  arrived.labels.copy_(from.labels, /*non_blocking=*/true);
  copied_->record(CurrentStream(device_));
  if (format_ != at::MemoryFormat::Contiguous) to.images.copy_(arrived.images);
  return to;
}

void DeviceBatches::WaitForCopies() const {
  // An event has no other wait in libtorch 1.13.
  while (copied_ && !copied_->query()) std::this_thread::sleep_for(std::chrono::microseconds(10));
}

}  // namespace swarmsync
