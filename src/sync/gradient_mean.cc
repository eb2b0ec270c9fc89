#include "sync/gradient_mean.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

namespace swarmsync {

GradientMean::GradientMean(FlatParams& params, Wire wire, std::int64_t bucket_bytes, const Communicator& comm)
    : params_(params), buckets_(params, bucket_bytes) {
  if (wire != Wire::kFp32) encoded_.emplace(wire, EncodedSum::Sends::kValues, params.gradients(), comm);
}

bool GradientMean::Expect(Communicator& comm) {
  if (encoded_ || buckets_.size() == 1 || comm.size() == 1) return false;
  contributors().fill_(1);
  buckets_.Expect(comm);
  return true;
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
  if (!contributes) {
    params_.gradient_message().zero_();
  } else if (!buckets_.expecting()) {
    contributors().fill_(1);
  }
  buckets_.Sum(comm);
  return contributors().item<int>();
}

}  // namespace swarmsync
