#pragma once

#include <optional>

#include "comm/host_groups.h"
#include "swarmsync/comm/communicator.h"
#include "swarmsync/params/flat_params.h"
#include "swarmsync/sync/options.h"
#include "sync/encoded_sum.h"
#include "sync/gradient_buckets.h"

namespace swarmsync {

// The mean of the workers' gradients. Borrows all that it is given.
class GradientMean {
 public:
  // groups: those of the ranks of `everyone`; null without.
  GradientMean(FlatParams& params, const SyncOptions& options, Communicator& everyone, HostGroups* groups);

  // From now on gradients of this rank, which contributes, are sent as backward() finds them, until Take().
  // Returns false where they are not. Local. Throws UsageError when it was called already.
  bool Expect();
  bool expecting() const { return buckets_.expecting(); }
  void CheckExpected() const { buckets_.CheckExpected(); }

  // gradient <- (1/n) sum_i gradient_i over the n ranks that contribute, on all ranks; returns n. Without
  // contributors the gradients become zero. Collective: an all-reduce for each bucket.
  int Take(bool contributes);

  void VisitState(StateVisitor& state) {
    if (encoded_) encoded_->VisitState(state);
  }

 private:
  int Sum(bool contributes);
  int SumEncoded();
  at::Tensor contributors() const { return params_.gradient_message().select(0, -1); }

  FlatParams& params_;
  Communicator& everyone_;
  HostGroups* groups_;
  GradientBuckets buckets_;
  std::optional<EncodedSum> encoded_;  // unless gradients travel as they are
};

}  // namespace swarmsync
