#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "swarmsync/data/batch_loader.h"
#include "swarmsync/data/dataset.h"

namespace swarmsync {

// Where mini-batches lie on their way into a model: places in the host's memory that data sets and loaders
// fill, and, for a model on a GPU, memory there that each batch is copied to, always the same. Copies are
// enqueued on the calling thread's current stream. Not thread-safe.
class DeviceBatches {
 public:
  // batch: samples in one, at most. format: what the model gets.
  DeviceBatches(std::int64_t places, std::int64_t batch, const ImageShape& shape, const at::Device& device,
                at::MemoryFormat format = at::MemoryFormat::Contiguous);

  BatchMemory host(std::size_t place) const;
  std::vector<BatchMemory> hosts() const;  // of all places

  struct Batch {
    at::Tensor images;  // [count, channels, height, width]
    at::Tensor labels;  // [count]
  };
  // The first `count` samples of a place, where the model is; until the next call.
  Batch Bring(std::size_t place, std::int64_t count);

  // Returns when the place that was brought last may be written to again.
  void WaitForCopies() const;

 private:
  at::Device device_;
  at::MemoryFormat format_;
  std::vector<Batch> host_;
  Batch arrived_, on_device_;  // undefined on the CPU; the same where the format is the host's
  std::optional<c10::Event> copied_;
};

}  // namespace swarmsync
