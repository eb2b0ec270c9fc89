#pragma once

#include <cstdint>
#include <vector>

namespace swarmsync {

// Sample ids that somebody else owns.
struct SampleIds {
  const std::int64_t* data = nullptr;  // [size]
  std::int64_t size = 0;               // how many

  // The first, for loops over all.
  const std::int64_t* begin() const { return data; }
  // Behind the last.
  const std::int64_t* end() const { return data + size; }
};

// What a ShardedSampler draws from, and for whom.
struct ShardedSamplerOptions {
  std::int64_t num_samples = 0;          // draws from 0 … num_samples-1, unless sample_ids is given
  std::vector<std::int64_t> sample_ids;  // draws from these instead; num_samples is then 0 or their number
  std::int64_t batch_size = 0;           // B: samples in a step of one worker
  std::int64_t world_size = 1;           // N
  std::int64_t rank = 0;                 // i: whose samples these are, 0 to world_size - 1
  std::uint64_t seed = 0;                // of the permutations; the same on all workers
};

// Which samples a worker sees, and when. There is one permutation for each (seed, epoch), the same on all
// workers; in step b of the epoch rank i takes its positions (bN + i)B … (bN + i)B + B - 1. So N workers with
// batch B see, step by step, what one worker with batch NB sees, and no sample twice in an epoch. An epoch is
// floor(samples / (N·B)) steps; its tail is dropped, and another permutation drops others.
//
// The permutation is Fisher and Yates': for i = n-1 … 1, j = NextBelow(i+1) of PhiloxStream(seed, round =
// epoch, rank 0, kShuffle), swap positions i and j. It has no state but (epoch, step), so a resumed run goes
// on where it was.
//
// Local. Not thread-safe: a sampler for each worker.
class ShardedSampler {
 public:
  // Throws UsageError with the numbers, and with what to lower, for more workers than samples and for a batch
  // larger than a worker's share of the samples; and for counts below 1, a rank outside the world, and more
  // than 2^32 - 1 samples.
  explicit ShardedSampler(ShardedSamplerOptions options);

  // How many samples are drawn from.
  std::int64_t num_samples() const { return static_cast<std::int64_t>(options_.sample_ids.size()); }
  std::int64_t batch_size() const { return options_.batch_size; }    // B
  std::int64_t steps_per_epoch() const { return steps_per_epoch_; }  // floor(samples / (N·B))

  // The batch_size() sample ids of a step. The memory is the sampler's; it holds them until the next call.
  // Permutes when `epoch` is not that of the last call, else only points. Throws UsageError unless
  // 0 <= epoch < 2^32 and 0 <= step < steps_per_epoch().
  SampleIds Indices(std::int64_t epoch, std::int64_t step);

 private:
  ShardedSamplerOptions options_;
  std::int64_t steps_per_epoch_ = 0;
  std::int64_t permuted_epoch_ = -1;
  std::vector<std::int64_t> permutation_;  // [num_samples], sample ids in the order of permuted_epoch_
};

// Sample ids, both ascending; together 0 … num_samples-1.
struct ValidationSplit {
  std::vector<std::int64_t> train;       // those that are left
  std::vector<std::int64_t> validation;  // those that are held out
};

// Holds out the first `num_validation` positions of one permutation of 0 … num_samples-1 (made as the
// sampler's, with round 0 and kValidation). Runs that are compared should pass one fixed seed, whatever
// theirs is, so that all are judged on the same samples. Local. Throws UsageError when num_validation is
// negative or leaves no sample to train on.
ValidationSplit SplitForValidation(std::int64_t num_samples, std::int64_t num_validation, std::uint64_t seed);

}  // namespace swarmsync
