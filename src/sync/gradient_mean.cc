#include "sync/gradient_mean.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

namespace swarmsync {

GradientMean::GradientMean(FlatParams& params, Wire wire, const Communicator& comm) : params_(params) {
  if (wire != Wire::kFp32) encoded_.emplace(wire, EncodedSum::Sends::kValues, params.gradients(), comm);
}

int GradientMean::Take(bool contributes, Communicator& comm) {
  const int count = Sum(contributes, comm);
  if (count > 0) params_.gradients().mul_(1.0 / count);
  return count;
}

int GradientMean::Sum(bool contributes, Communicator& comm) {
  if (encoded_) {
    const std::vector<double> factors = comm.AllGather(contributes ? 1 : 0);
    encoded_->Add(params_.gradients(), factors, params_.gradients(), comm);
    return static_cast<int>(std::count(factors.begin(), factors.end(), 1));
  }
  const at::Tensor& message = params_.gradient_message();
  const at::Tensor contributors = message.select(0, -1);
  if (contributes) {
    contributors.fill_(1);
  } else {
    message.zero_();
  }
  comm.AllReduceSum(message);
  return contributors.item<int>();
}

}  // namespace swarmsync
