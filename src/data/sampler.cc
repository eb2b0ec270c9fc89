#include "swarmsync/data/sampler.h"

#include <fmt/format.h>

#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "data/shuffle.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

constexpr std::int64_t kMax32 = std::numeric_limits<std::uint32_t>::max();

std::vector<std::int64_t> Ascending(std::int64_t size) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(size));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

void RequireAtLeastOne(std::int64_t value, const char* what) {
  if (value < 1) throw UsageError(fmt::format("the {} is {}; it must be at least 1", what, value));
}

// Draws are 32 bits wide.
void RequireAtMost32Bits(std::int64_t num_samples) {
  if (num_samples > kMax32) {
    throw UsageError(fmt::format("{} samples; the sampler permutes at most {}", num_samples, kMax32));
  }
}

}  // namespace

ShardedSampler::ShardedSampler(ShardedSamplerOptions options) : options_(std::move(options)) {
  const std::int64_t num_ids = static_cast<std::int64_t>(options_.sample_ids.size());
  if (num_ids != 0) {
    if (options_.num_samples != 0 && options_.num_samples != num_ids) {
      throw UsageError(fmt::format("the sampler was given {} sample ids, but told of {} samples", num_ids,
                                   options_.num_samples));
    }
    options_.num_samples = num_ids;
  }
  const std::int64_t samples = options_.num_samples;
  const std::int64_t batch = options_.batch_size;
  const std::int64_t world = options_.world_size;
  RequireAtLeastOne(samples, "number of samples");
  RequireAtLeastOne(batch, "batch size");
  RequireAtLeastOne(world, "number of workers");
  RequireAtMost32Bits(samples);
  if (options_.rank < 0 || options_.rank >= world) {
    throw UsageError(fmt::format("rank {} is outside 0 to {}", options_.rank, world - 1));
  }
  if (world > samples) {
    throw UsageError(fmt::format("{} workers, but only {} training samples: lower the workers to at most {}",
                                 world, samples, samples));
  }
  if (batch > samples / world) {  // that is N·B > samples, without overflow
    const std::string fewer_workers =
        batch <= samples ? fmt::format(", or the workers to at most {}", samples / batch) : "";
    throw UsageError(
        fmt::format("a batch of {} is larger than a worker's shard of {} ({} training samples, {} workers): "
                    "lower the batch size to at most {}{}",
                    batch, samples / world, samples, world, samples / world, fewer_workers));
  }
  steps_per_epoch_ = samples / (world * batch);
  if (options_.sample_ids.empty()) options_.sample_ids = Ascending(samples);
}

SampleIds ShardedSampler::Indices(std::int64_t epoch, std::int64_t step) {
  if (epoch < 0 || epoch > kMax32) {
    throw UsageError(fmt::format("epoch {} is outside 0 to {}", epoch, kMax32));
  }
  if (step < 0 || step >= steps_per_epoch_) {
    throw UsageError(
        fmt::format("step {} is outside 0 to {}, the steps of an epoch", step, steps_per_epoch_ - 1));
  }
  if (epoch != permuted_epoch_) {
    permutation_ = options_.sample_ids;  // always from the start: the order depends on no earlier epoch
    Shuffle(permutation_, PhiloxStream(Philox(options_.seed), static_cast<std::uint32_t>(epoch), /*rank=*/0,
                                       RandomPurpose::kShuffle));
    permuted_epoch_ = epoch;
  }
  const std::int64_t first = (step * options_.world_size + options_.rank) * options_.batch_size;
  return {permutation_.data() + first, options_.batch_size};
}

ValidationSplit SplitForValidation(std::int64_t num_samples, std::int64_t num_validation,
                                   std::uint64_t seed) {
  RequireAtLeastOne(num_samples, "number of samples");
  RequireAtMost32Bits(num_samples);
  if (num_validation < 0 || num_validation >= num_samples) {
    throw UsageError(
        fmt::format("{} of {} training samples cannot be held out for validation: choose 0 to {}",
                    num_validation, num_samples, num_samples - 1));
  }
  std::vector<std::int64_t> permutation = Ascending(num_samples);
  Shuffle(permutation, PhiloxStream(Philox(seed), /*round=*/0, /*rank=*/0, RandomPurpose::kValidation));
  std::vector<bool> held_out(permutation.size());
  for (std::size_t i = 0; i < static_cast<std::size_t>(num_validation); ++i) {
    held_out[static_cast<std::size_t>(permutation[i])] = true;
  }
  ValidationSplit split;
  split.train.reserve(static_cast<std::size_t>(num_samples - num_validation));
  split.validation.reserve(static_cast<std::size_t>(num_validation));
  for (std::int64_t i = 0; i < num_samples; ++i) {
    (held_out[static_cast<std::size_t>(i)] ? split.validation : split.train).push_back(i);
  }
  return split;
}

}  // namespace swarmsync
