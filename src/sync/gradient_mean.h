#pragma once

#include <cstdint>
#include <optional>

#include "swarmsync/comm/communicator.h"
#include "swarmsync/params/flat_params.h"
#include "sync/encoded_sum.h"
#include "sync/gradient_buckets.h"

namespace swarmsync {

// The mean of the workers' gradients. Borrows the parameters.
class GradientMean {
 public:
  GradientMean(FlatParams& params, Wire wire, std::int64_t bucket_bytes, const Communicator& comm);

  // From now on gradients of this rank, which contributes, are sent as backward() finds them, until Take().
  // Returns false where they are not. Local.
  bool Expect(Communicator& comm);

  // gradient <- (1/n) sum_i gradient_i over the n ranks that contribute, on all ranks; returns n. Without
  // contributors the gradients become zero. Collective: an all-reduce for each bucket.
  int Take(bool contributes, Communicator& comm);

 private:
  int Sum(bool contributes, Communicator& comm);
  at::Tensor contributors() const { return params_.gradient_message().select(0, -1); }

  FlatParams& params_;
  GradientBuckets buckets_;
  std::optional<EncodedSum> encoded_;  // unless gradients travel as they are
};

}  // namespace swarmsync
