#include "sync/gradient_mean.h"

#include <ATen/ATen.h>

namespace swarmsync {

int AverageGradients(const FlatParams& params, Communicator& comm, bool contributes) {
  const at::Tensor& message = params.gradient_message();
  const at::Tensor contributors = message.select(0, -1);
  if (contributes) {
    contributors.fill_(1);
  } else {
    message.zero_();
  }
  comm.AllReduceSum(message);
  const int count = contributors.item<int>();
  if (count > 0) params.gradients().mul_(1.0 / count);
  return count;
}

}  // namespace swarmsync
