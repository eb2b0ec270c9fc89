#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "swarmsync/checkpoint/state.h"

namespace swarmsync {

// The sum of mini-batch losses, in double. A loss on an accelerator stays there until the sum is asked for,
// so that adding never waits for the device. Not thread-safe.
class LossSum {
 public:
  // Nothing has been added.
  LossSum() = default;
  // Takes the sum over; the other one is then only good for being assigned to.
  LossSum(LossSum&&) = default;
  // The same.
  LossSum& operator=(LossSum&&) = default;

  // loss: a scalar.
  void Add(const at::Tensor& loss);

  std::int64_t count() const { return count_; }  // losses that were added
  // Their sum. Waits for the device, if one was not on the CPU.
  double Total() const;
  double Mean() const { return Total() / static_cast<double>(count_); }  // NaN when nothing was added

  // Number and sums, each worker with its own.
  void VisitState(StateVisitor& state);

 private:
  std::int64_t count_ = 0;
  double sum_ = 0;
  at::Tensor device_sum_;  // its own memory; undefined until a loss comes that is not on the CPU
};

}  // namespace swarmsync
