#pragma once

#include <optional>

#include "swarmsync/comm/communicator.h"
#include "swarmsync/params/flat_params.h"
#include "sync/encoded_sum.h"

namespace swarmsync {

// The mean of the workers' gradients. Borrows the parameters.
class GradientMean {
 public:
  GradientMean(FlatParams& params, Wire wire, const Communicator& comm);

  // gradient <- (1/n) sum_i gradient_i over the n ranks that contribute, on all ranks; returns n. Without
  // contributors the gradients become zero. Collective: one all-reduce.
  int Take(bool contributes, Communicator& comm);

 private:
  int Sum(bool contributes, Communicator& comm);

  FlatParams& params_;
  std::optional<EncodedSum> encoded_;  // unless gradients travel as they are
};

}  // namespace swarmsync
