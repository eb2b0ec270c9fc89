#include "swarmsync/swarm/sketch.h"

#include <algorithm>
#include <cmath>

#include "swarmsync/base/philox.h"

namespace swarmsync {
namespace {

constexpr std::uint64_t kSignSeed = 0;  // the same everywhere, or sketches could not be compared

}  // namespace

WeightSketch::WeightSketch(const float* values, std::int64_t size) {
  PhiloxStream signs(Philox(kSignSeed), 0, 0, RandomPurpose::kSketch);
  for (std::int64_t row = 0; row < size; row += kBuckets) {
    const std::int64_t count = std::min(kBuckets, size - row);
    const auto order = static_cast<std::int64_t>(signs.NextWord() % kBuckets);
    for (std::int64_t begin = 0; begin < count; begin += 32) {
      const std::uint32_t word = signs.NextWord();
      const std::int64_t end = std::min<std::int64_t>(begin + 32, count);
      for (std::int64_t b = begin; b < end; ++b) {
        const auto negative = static_cast<int>(word >> (b - begin) & 1);
        buckets_[b ^ order] += (1 - 2 * negative) * static_cast<double>(values[row + b]);
      }
    }
  }
}

WeightSketch& WeightSketch::operator+=(const WeightSketch& other) {
  for (std::int64_t b = 0; b < kBuckets; ++b) buckets_[b] += other.buckets_[b];
  return *this;
}

WeightSketch& WeightSketch::operator-=(const WeightSketch& other) {
  for (std::int64_t b = 0; b < kBuckets; ++b) buckets_[b] -= other.buckets_[b];
  return *this;
}

WeightSketch& WeightSketch::operator*=(double factor) {
  for (double& bucket : buckets_) bucket *= factor;
  return *this;
}

double WeightSketch::Norm() const {
  double sum = 0;
  for (const double bucket : buckets_) sum += bucket * bucket;
  return std::sqrt(sum);
}

}  // namespace swarmsync
