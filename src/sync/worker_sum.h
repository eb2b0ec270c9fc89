#pragma once

#include <ATen/core/Tensor.h>

#include "swarmsync/comm/communicator.h"
#include "swarmsync/params/flat_params.h"

namespace swarmsync {

// The sum over the workers of one flat tensor each, in memory of its own: what goes in is left whole when the
// all-reduce fails.
class WorkerSum {
 public:
  explicit WorkerSum(const FlatParams& params);

  // sum() <- sum_i factor_i flat_i over the ranks that contribute; a factor of 0 contributes zeros, whatever
  // `flat` holds. Returns how many contributed. Collective: one all-reduce.
  int Add(const at::Tensor& flat, double factor, bool contributes, Communicator& comm);

  // sum() <- (1/n) sum_i flat_i over the n ranks that contribute; zeros without any. Returns n. Collective.
  int Mean(const at::Tensor& flat, bool contributes, Communicator& comm);

  const at::Tensor& sum() const { return sum_; }  // [flat_size]

 private:
  at::Tensor message_;  // [flat_size + 1]: the sum and the number of contributors
  at::Tensor sum_;
};

}  // namespace swarmsync
