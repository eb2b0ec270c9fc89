#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "swarmsync/comm/communicator.h"
#include "swarmsync/params/flat_params.h"
#include "sync/encoded_sum.h"

namespace swarmsync {

// The sum over the workers of their weights, in memory of its own: the weights are left whole when the
// all-reduce fails. Borrows the parameters.
class WorkerSum {
 public:
  WorkerSum(FlatParams& params, Wire wire, const Communicator& comm);

  // All ranks have the same weights now.
  void StartHere();

  // Brings sum_i weights_i over the ranks that contribute, whose number is returned. Collective: one
  // all-reduce.
  int Collect(bool contributes, Communicator& comm);

  // Brings sum_i factors[i] weights_i; a rank with a factor of 0 counts for nothing, whatever its weights
  // are. factors: [ranks], the same on all. Collective: one all-reduce.
  void CollectWeighted(const std::vector<double>& factors, Communicator& comm);

  // sum() is what was collected. Local.
  void Take() {
    if (encoded_) encoded_->Take(sum_);
  }

  const at::Tensor& sum() const { return sum_; }  // [flat_size]

  void VisitState(StateVisitor& state) {
    if (encoded_) encoded_->VisitState(state);
  }

 private:
  FlatParams& params_;
  at::Tensor message_;  // [flat_size + 1]: the sum and the number of contributors
  at::Tensor sum_;
  std::optional<EncodedSum> encoded_;  // unless weights travel as they are
};

}  // namespace swarmsync
