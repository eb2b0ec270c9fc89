#include "sync/worker_sum.h"

#include <ATen/ATen.h>

namespace swarmsync {

WorkerSum::WorkerSum(const FlatParams& params)
    : message_(at::zeros({params.weights().numel() + 1}, params.weights().options())),
      sum_(message_.narrow(0, 0, params.weights().numel())) {}

int WorkerSum::Add(const at::Tensor& flat, double factor, bool contributes, Communicator& comm) {
  at::Tensor contributors = message_.select(0, -1);
  if (contributes && factor != 0) {
    at::mul_out(sum_, flat, at::scalar_tensor(factor));
  } else {
    sum_.zero_();
  }
  contributors.fill_(contributes ? 1 : 0);
  comm.AllReduceSum(message_);
  return contributors.item<int>();
}

int WorkerSum::Mean(const at::Tensor& flat, bool contributes, Communicator& comm) {
  const int count = Add(flat, 1, contributes, comm);
  if (count > 0) sum_.mul_(1.0 / count);
  return count;
}

}  // namespace swarmsync
