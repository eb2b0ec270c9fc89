#include "swarmsync/swarm/sketch.h"

#include <algorithm>
#include <cmath>

#include "swarmsync/base/philox.h"

namespace swarmsync {
namespace {

constexpr std::int64_t kGroup = 8;  // elements that stay neighbours, for vector instructions

// The signs that the eight bits of a byte stand for.
using Signs = std::array<std::array<float, kGroup>, 256>;
constexpr Signs MakeSigns() {
  Signs signs{};
  for (std::size_t byte = 0; byte < signs.size(); ++byte) {
    for (std::size_t bit = 0; bit < kGroup; ++bit) signs[byte][bit] = (byte >> bit & 1) != 0 ? -1.0f : 1.0f;
  }
  return signs;
}
constexpr Signs kSigns = MakeSigns();

}  // namespace

WeightSketch::WeightSketch(const float* values, std::int64_t size) {
  PhiloxStream words(Philox(kSignSeed), 0, 0, RandomPurpose::kSketch);
  for (std::int64_t row = 0; row < size; row += kBuckets) {
    const auto order = static_cast<std::int64_t>(words.NextWord() % kBuckets / kGroup * kGroup);
    std::uint32_t word = 0;
    for (std::int64_t group = 0; group < kBuckets && row + group < size; group += kGroup) {
      word = group % 32 == 0 ? words.NextWord() : word >> kGroup;
      const auto& signs = kSigns[word & 0xff];
      double* const buckets = buckets_.data() + (group ^ order);
      const float* const from = values + row + group;
      const std::int64_t count = std::min(kGroup, size - row - group);
      if (count == kGroup) {
        for (std::int64_t i = 0; i < kGroup; ++i) buckets[i] += static_cast<double>(signs[i] * from[i]);
      } else {
        for (std::int64_t i = 0; i < count; ++i) buckets[i] += static_cast<double>(signs[i] * from[i]);
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
