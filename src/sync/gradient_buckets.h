#pragma once

#include <ATen/core/Tensor.h>

#include <condition_variable>
#include <cstdint>
#include <future>
#include <mutex>
#include <vector>

#include "swarmsync/comm/communicator.h"
#include "swarmsync/params/flat_params.h"

namespace swarmsync {

// A sum of the workers' gradients in parts, the last parameters' first, as backward() finds them. All ranks
// sum up the same parts in the same order, whether they expect() them or not. Borrows the parameters.
class GradientBuckets {
 public:
  // bucket_bytes: a part has whole parameters, as few as make up so much.
  GradientBuckets(FlatParams& params, std::int64_t bucket_bytes);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  std::size_t size() const { return buckets_.size(); }
  bool expecting() const { return sending_.valid(); }

  // From the next gradient on a thread of its own sends each bucket that is complete, until Sum(). Local.
  // Not to be called again before that.
  void Expect(Communicator& comm);

  // Throws UsageError where a gradient is expected and what the parameter has is another tensor. Local.
  void CheckExpected() const;

  // FlatParams::gradient_message() becomes its sum over the ranks. Collective; what was expected has been
  // sent in part.
  void Sum(Communicator& comm);

 private:
  void Watch();
  void OnGradient(std::size_t slot);
  void RequireInPlace(std::size_t slot) const;
  void Send(Communicator& comm);
  void SkipComplete();
  void Release(bool cancel);

  FlatParams& params_;
  std::vector<at::Tensor> buckets_;  // parts of the message
  std::vector<std::size_t> bucket_of_slot_;
  std::vector<bool> watched_;  // by slot; empty until something is expected
  std::future<void> sending_;

  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::vector<int> missing_;  // gradients, by bucket
  std::size_t complete_ = 0;  // so many buckets are, from the first on
  bool cancelled_ = false;
};

}  // namespace swarmsync
