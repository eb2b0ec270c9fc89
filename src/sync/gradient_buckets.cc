#include "sync/gradient_buckets.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <utility>

#include "swarmsync/base/error.h"

namespace swarmsync {

GradientBuckets::GradientBuckets(FlatParams& params, std::int64_t bucket_bytes) : params_(params) {
  const at::Tensor& message = params.gradient_message();
  const auto& slots = params.slots();
  bucket_of_slot_.resize(slots.size());
  std::int64_t end = message.numel();
  for (std::size_t slot = slots.size(); slot-- > 0;) {
    bucket_of_slot_[slot] = buckets_.size();
    const std::int64_t size = end - slots[slot].offset;
    if (slot > 0 && size * static_cast<std::int64_t>(message.element_size()) < bucket_bytes) continue;
    buckets_.push_back(message.narrow(0, slots[slot].offset, size));
    end = slots[slot].offset;
  }
}

GradientBuckets::~GradientBuckets() {
  if (!watched_.empty()) params_.WatchGradients(nullptr);
  Release(/*cancel=*/true);
  if (sending_.valid()) sending_.wait();
}

void GradientBuckets::Expect(Communicator& comm) {
  Watch();
  complete_ = 0;
  const int threads = at::get_num_threads();
  sending_ = std::async(std::launch::async, [this, &comm, threads] {
    torch::NoGradGuard no_grad;
    at::set_num_threads(threads);
    Send(comm);
  });
}

// Looks out for the gradients of the parameters that train now.
void GradientBuckets::Watch() {
  std::vector<bool> trains;
  missing_.assign(size(), 0);
  for (std::size_t slot = 0; slot < bucket_of_slot_.size(); ++slot) {
    trains.push_back(params_.Trains(slot));
    if (trains[slot]) ++missing_[bucket_of_slot_[slot]];
  }
  if (trains == watched_) return;
  params_.WatchGradients([this](std::size_t slot) { OnGradient(slot); });
  watched_ = trains;
}

void GradientBuckets::Sum(Communicator& comm) {
  if (expecting()) {
    Release(/*cancel=*/false);
    return sending_.get();
  }
  for (const at::Tensor& bucket : buckets_) comm.AllReduceSum(bucket);
}

void GradientBuckets::CheckExpected() const {
  for (std::size_t slot = 0; expecting() && slot < watched_.size(); ++slot) {
    if (watched_[slot]) RequireInPlace(slot);
  }
}

void GradientBuckets::RequireInPlace(std::size_t slot) const {
  if (params_.HasGradientInPlace(slot)) return;
  throw UsageError(
      fmt::format("parameter '{}' has got another gradient tensor since ExpectGradients(); call zero_grad() "
                  "before it",
                  params_.slots()[slot].name));
}

// On the thread that sends.
void GradientBuckets::Send(Communicator& comm) {
  for (std::size_t k = 0; k < size(); ++k) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return complete_ > k || cancelled_; });
      if (cancelled_) return;
    }
    comm.AllReduceSum(buckets_[k]);
  }
}

void GradientBuckets::OnGradient(std::size_t slot) {
  if (!expecting()) return;
  RequireInPlace(slot);
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
