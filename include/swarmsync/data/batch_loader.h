#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "swarmsync/data/augmenter.h"
#include "swarmsync/data/dataset.h"
#include "swarmsync/data/sampler.h"

namespace swarmsync {

// Memory for one mini-batch, which somebody else owns.
struct BatchMemory {
  float* images = nullptr;         // [batch, channels, height, width]
  std::int64_t* labels = nullptr;  // [batch]
};

// Reads the mini-batches of a training ahead of it, on threads of its own: batch k is what the sampler says
// of step k % steps_per_epoch of epoch k / steps_per_epoch, filled and augmented. The batches and their order
// do not depend on the number of threads.
//
// Borrows the set, the sampler, which nobody else may use meanwhile, the augmenter and the memory. Local;
// Next() is for one thread.
class BatchLoader {
 public:
  // num_batches: of the whole training. first: the batch that Next() begins with. memory: one place or
  // more, with threads two or more, else UsageError; as many batches are read ahead as there are places but
  // one. threads: 0 reads each batch when it is asked for, on the caller's thread. Throws RunError when a
  // thread cannot be started.
  BatchLoader(const ImageSet& set, ShardedSampler& sampler, const Augmenter& augmenter,
              std::int64_t num_batches, std::vector<BatchMemory> memory, int threads, std::int64_t first = 0);
  // Ends the threads.
  ~BatchLoader();
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  // Which place of `memory` holds the next batch, once it is there; until the next call it stays as it is.
  // Throws what reading it threw, and UsageError after the last one.
  std::size_t Next();

 private:
  void Stop();
  void Work();
  std::vector<std::int64_t> IdsOf(std::int64_t batch);
  void Read(std::int64_t batch, const std::vector<std::int64_t>& ids);

  const ImageSet& set_;
  ShardedSampler& sampler_;
  const Augmenter& augmenter_;
  std::int64_t num_batches_;
  std::vector<BatchMemory> memory_;

  std::mutex mutex_;  // of what follows, and of the sampler
  std::condition_variable changed_;
  std::int64_t started_ = 0;      // batches that a thread has taken
  std::int64_t given_ = 0;        // batches that Next() has given away
  std::vector<std::int64_t> in_;  // by place: the batch that it holds whole, -1 for none
  std::exception_ptr failure_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace swarmsync
