#include "sync/gradient_mean.h"

#include <ATen/ATen.h>

#include <limits>
#include <numeric>
#include <vector>

#include "swarmsync/base/error.h"

namespace swarmsync {

GradientMean::GradientMean(FlatParams& params, const SyncOptions& options, Communicator& everyone,
                           HostGroups* groups)
    : params_(params),
      everyone_(everyone),
      groups_(groups),
      // A GPU's are sent after backward(), and then at once.
      buckets_(params, params.gradients().is_cpu() ? options.bucket_bytes
                                                   : std::numeric_limits<std::int64_t>::max()) {
  if (options.wire == Wire::kFp32) return;
  encoded_.emplace(options.wire, EncodedSum::Sends::kValues, params.gradients(),
                   groups ? groups->groups() : everyone);
}

bool GradientMean::Expect() {
  if (expecting()) throw UsageError("ExpectGradients() was called twice before Step()");
  if (encoded_ || buckets_.size() == 1 || everyone_.size() == 1) return false;
  params_.Readopt();
  contributors().fill_(1);
  buckets_.Expect(everyone_);
  return true;
}

int GradientMean::Take(bool contributes) {
  const int count = Sum(contributes);
  if (count > 0) params_.gradients().mul_(1.0 / count);
  return count;
}

int GradientMean::Sum(bool contributes) {
  if (!expecting()) {
    if (!contributes) params_.gradient_message().zero_();
    contributors().fill_(contributes ? 1 : 0);
  }
  if (encoded_) return SumEncoded();
  buckets_.Sum(everyone_);
  return contributors().item<int>();
}

// Within the groups as they are, where there are groups; then encoded.
int GradientMean::SumEncoded() {
  if (groups_) groups_->members().AllReduceSum(params_.gradient_message());
  Communicator& comm = groups_ ? groups_->groups() : everyone_;
  const std::vector<double> counts = comm.AllGather(contributors().item<double>());
  std::vector<double> factors;
  for (const double count : counts) factors.push_back(count > 0 ? 1 : 0);
  encoded_->Collect(params_.gradients(), factors, comm);
  encoded_->Take(params_.gradients());
  return static_cast<int>(std::accumulate(counts.begin(), counts.end(), 0.0));
}

}  // namespace swarmsync
