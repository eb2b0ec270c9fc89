#include "swarmsync/data/batch_loader.h"

#include <fmt/format.h>

#include <system_error>
#include <utility>

#include "swarmsync/base/error.h"

namespace swarmsync {

BatchLoader::BatchLoader(const ImageSet& set, ShardedSampler& sampler, const Augmenter& augmenter,
                         std::int64_t num_batches, std::vector<BatchMemory> memory, int threads,
                         std::int64_t first)
    : set_(set),
      sampler_(sampler),
      augmenter_(augmenter),
      num_batches_(num_batches),
      memory_(std::move(memory)),
      started_(first),
      given_(first),
      in_(memory_.size(), -1) {
  if (memory_.empty()) throw UsageError("a loader needs memory for at least one batch");
  if (threads > 0 && memory_.size() < 2)
    throw UsageError("to read ahead, a loader needs memory for two batches");
  try {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
  } catch (const std::system_error& error) {
    Stop();
    throw RunError(fmt::format("thread {} of {} that read ahead cannot be started ({}); take fewer",
                               threads_.size() + 1, threads, error.what()));
  }
}

BatchLoader::~BatchLoader() { Stop(); }

void BatchLoader::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

std::size_t BatchLoader::Next() {
  std::unique_lock lock(mutex_);
  if (given_ == num_batches_) {
    throw UsageError(fmt::format("all {} batches of the training have been read", num_batches_));
  }
  const std::int64_t batch = given_++;
  const auto place = static_cast<std::size_t>(batch) % memory_.size();
  if (threads_.empty()) {
    Read(batch, IdsOf(batch));
    return place;
  }
  changed_.notify_all();  // the batch before is done with, so its place is free
  changed_.wait(lock, [&] { return in_[place] == batch || failure_; });
  if (in_[place] != batch) std::rethrow_exception(failure_);
  return place;
}

// A thread takes the next batch that nobody has taken, once its place is free: the batch that was there has
// been given away, and another after it.
void BatchLoader::Work() {
  const auto places = static_cast<std::int64_t>(memory_.size());
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] {
      return stop_ || failure_ || started_ == num_batches_ || started_ < given_ - 1 + places;
    });
    if (stop_ || failure_ || started_ == num_batches_) return;
    const std::int64_t batch = started_++;
    try {
      const std::vector<std::int64_t> ids = IdsOf(batch);
      lock.unlock();
      Read(batch, ids);
      lock.lock();
      in_[static_cast<std::size_t>(batch % places)] = batch;
    } catch (...) {
      if (!lock.owns_lock()) lock.lock();
      if (!failure_) failure_ = std::current_exception();
    }
    changed_.notify_all();
  }
}

std::vector<std::int64_t> BatchLoader::IdsOf(std::int64_t batch) {
  const std::int64_t steps = sampler_.steps_per_epoch();
  const SampleIds ids = sampler_.Indices(batch / steps, batch % steps);
  return {ids.begin(), ids.end()};
}

void BatchLoader::Read(std::int64_t batch, const std::vector<std::int64_t>& ids) {
  const BatchMemory& memory = memory_[static_cast<std::size_t>(batch) % memory_.size()];
  const auto count = static_cast<std::int64_t>(ids.size());
  set_.Fill(ids.data(), count, memory.images, memory.labels);
  augmenter_.Apply(batch / sampler_.steps_per_epoch(), ids.data(), count, memory.images);
}

}  // namespace swarmsync
