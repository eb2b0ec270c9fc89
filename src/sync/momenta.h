#pragma once

#include <ATen/core/Tensor.h>

#include "swarmsync/comm/communicator.h"

namespace torch::optim {
class Optimizer;
}

namespace swarmsync {

// The mean over the workers of their optimizers' momenta: SGD's momentum buffers, Adam's first and second
// moments.
class MomentaMean {
 public:
  // Borrows the communicator.
  explicit MomentaMean(Communicator& comm) : comm_(comm) {}

  // The momenta become their mean over the ranks that contribute, on all ranks that have some. A rank whose
  // optimizer has none, as before its first step, brings nothing, and so does one without an optimizer
  // (nullptr) or with momenta that are not finite. Counts of steps stay. Collective: an all-gather of a
  // number and one all-reduce. Throws CommError when two ranks' momenta differ in size.
  void Average(torch::optim::Optimizer* optimizer, bool contributes);

 private:
  Communicator& comm_;
  at::Tensor message_;  // the momenta, one after another, and the number of contributors; kept for the next
};

}  // namespace swarmsync
