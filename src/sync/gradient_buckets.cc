#include "sync/gradient_buckets.h"

#include <torch/torch.h>

#include <utility>

#include "swarmsync/base/error.h"

namespace swarmsync {

GradientBuckets::GradientBuckets(FlatParams& params, std::int64_t bucket_bytes) : params_(params) {
  const at::Tensor& message = params.gradient_message();
  const auto& slots = params.slots();
  bucket_of_slot_.resize(slots.size());
  std::int64_t end = message.numel();
  Bucket bucket;
  for (std::size_t slot = slots.size(); slot-- > 0;) {
    bucket_of_slot_[slot] = buckets_.size();
    if (slots[slot].trains) ++bucket.gradients;
    const std::int64_t begin = slots[slot].offset;
    if (slot > 0 && (end - begin) * static_cast<std::int64_t>(message.element_size()) < bucket_bytes)
      continue;
    bucket.message = message.narrow(0, begin, end - begin);
    buckets_.push_back(std::exchange(bucket, {}));
    end = begin;
  }
}

GradientBuckets::~GradientBuckets() {
  if (watches_) params_.WatchGradients(nullptr);
  Release(/*cancel=*/true);
  if (sending_.valid()) sending_.wait();
}

void GradientBuckets::Expect(Communicator& comm) {
  if (sending_.valid()) throw UsageError("ExpectGradients() was called twice before Step()");
  if (!std::exchange(watches_, true)) params_.WatchGradients([this](std::size_t slot) { OnGradient(slot); });
  missing_.clear();
  for (const Bucket& bucket : buckets_) missing_.push_back(bucket.gradients);
  complete_ = 0;
  const int threads = at::get_num_threads();
  sending_ = std::async(std::launch::async, [this, &comm, threads] {
    torch::NoGradGuard no_grad;
    at::set_num_threads(threads);
    Send(comm);
  });
}

void GradientBuckets::Sum(Communicator& comm) {
  if (sending_.valid()) {
    Release(/*cancel=*/false);
    return sending_.get();
  }
  for (const Bucket& bucket : buckets_) comm.AllReduceSum(bucket.message);
}

// On the thread that sends.
void GradientBuckets::Send(Communicator& comm) {
  for (std::size_t k = 0; k < size(); ++k) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return complete_ > k || cancelled_; });
      if (cancelled_) return;
    }
    comm.AllReduceSum(buckets_[k].message);
  }
}

void GradientBuckets::OnGradient(std::size_t slot) {
  if (!sending_.valid()) return;
  const std::size_t bucket = bucket_of_slot_[slot];
  const std::lock_guard lock(mutex_);
  if (bucket < complete_) {
    throw UsageError(
        "a gradient has come for a second time since ExpectGradients(); call it before the last backward() "
        "of "
        "a step");
  }
  --missing_[bucket];
  SkipComplete();
}

void GradientBuckets::SkipComplete() {
  while (complete_ < size() && missing_[complete_] <= 0) ++complete_;
  changed_.notify_all();
}

// Lets go whoever waits for gradients.
void GradientBuckets::Release(bool cancel) {
  const std::lock_guard lock(mutex_);
  complete_ = size();
  cancelled_ = cancel;
  changed_.notify_all();
}

}  // namespace swarmsync
