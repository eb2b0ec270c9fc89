#include "sync/worker_sum.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace swarmsync {

WorkerSum::WorkerSum(FlatParams& params, Wire wire, const Communicator& comm)
    : params_(params),
      message_(at::zeros({params.weights().numel() + 1}, params.weights().options())),
      sum_(message_.narrow(0, 0, params.weights().numel())) {
  if (wire != Wire::kFp32) encoded_.emplace(wire, EncodedSum::Sends::kDifferences, params.weights(), comm);
}

void WorkerSum::StartHere() {
  if (encoded_) encoded_->StartAt(params_.weights());
}

int WorkerSum::Collect(bool contributes, Communicator& comm) {
  if (encoded_) {
    const std::vector<double> factors = comm.AllGather(contributes ? 1 : 0);
    encoded_->Collect(params_.weights(), factors, comm);
    return static_cast<int>(std::count(factors.begin(), factors.end(), 1));
  }
  const at::Tensor contributors = message_.select(0, -1);
  if (contributes) {
    params_.weight_message().select(0, -1).fill_(1);
    comm.AllReduce(params_.weight_message(), {}, message_);
  } else {
    message_.zero_();
    comm.AllReduceSum(message_);
  }
  return contributors.item<int>();
}

void WorkerSum::CollectWeighted(const std::vector<double>& factors, Communicator& comm) {
  if (encoded_) return encoded_->Collect(params_.weights(), factors, comm);
  comm.AllReduce(params_.weights(), factors, sum_);
}

}  // namespace swarmsync
