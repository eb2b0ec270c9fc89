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
  // Borrows the communicator. like: of the weights' type and device, which all ranks share.
  MomentaMean(Communicator& comm, const at::TensorOptions& like) : comm_(comm), like_(like) {}

  // The momenta become their mean over the ranks that contribute, on all ranks that have some. A rank whose
  // optimizer has none, as before its first step, brings nothing, and so does one without an optimizer
  // (nullptr) or with momenta that are not finite. Counts of steps stay. Collective: an all-gather of a
  // number and one all-reduce. Throws CommError when two ranks' momenta differ in size.
  void Average(torch::optim::Optimizer* optimizer, bool contributes);

 private:
  Communicator& comm_;
  at::TensorOptions like_;
  at::Tensor message_;  // the momenta, one after another, and the number of contributors; kept for the next
};

}  // namespace swarmsync
