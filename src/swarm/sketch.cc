#include "swarmsync/swarm/sketch.h"

#include <algorithm>
#include <cmath>

#include "base/avx2.h"
#include "swarm/philox_words.h"
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

// Words that are drawn for a row: one for the order of its groups, one for the signs of every 32 elements.
constexpr std::int64_t kWordsOfRow = 1 + WeightSketch::kBuckets / 32;
constexpr std::int64_t kRowsAtOnce = 32;

std::int64_t OrderOf(std::uint32_t word) {
  return static_cast<std::int64_t>(word % WeightSketch::kBuckets / kGroup * kGroup);
}

std::uint32_t SignsOf(const std::uint32_t* words, std::int64_t group) {
  return words[1 + group / 32] >> (group % 32) & 0xff;
}

#ifdef SWARMSYNC_AVX2

SWARMSYNC_AVX2 void AddWholeRow(const float* values, const std::uint32_t* words, double* buckets) {
  const std::int64_t order = OrderOf(words[0]);
  const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  for (std::int64_t group = 0; group < WeightSketch::kBuckets; group += kGroup) {
    const __m256i byte = _mm256_set1_epi32(static_cast<int>(SignsOf(words, group)));
    const __m256i negative = _mm256_slli_epi32(_mm256_cmpeq_epi32(_mm256_and_si256(byte, bits), bits), 31);
    const __m256 x = _mm256_xor_ps(_mm256_loadu_ps(values + group), _mm256_castsi256_ps(negative));
    double* const to = buckets + (group ^ order);
    _mm256_storeu_pd(to, _mm256_add_pd(_mm256_loadu_pd(to), _mm256_cvtps_pd(_mm256_castps256_ps128(x))));
    _mm256_storeu_pd(to + 4,
                     _mm256_add_pd(_mm256_loadu_pd(to + 4), _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1))));
  }
}

#endif

// Adds up to kBuckets elements to the buckets.
void AddRow(const float* values, std::int64_t count, const std::uint32_t* words, double* buckets) {
#ifdef SWARMSYNC_AVX2
  if (count == WeightSketch::kBuckets && HasAvx2()) return AddWholeRow(values, words, buckets);
#endif
  const std::int64_t order = OrderOf(words[0]);
  for (std::int64_t k = 0; k < count; ++k) {
    const std::int64_t group = k / kGroup * kGroup, i = k % kGroup;
    buckets[(group ^ order) + i] +=
        static_cast<double>(kSigns[SignsOf(words, group)][static_cast<std::size_t>(i)] * values[k]);
  }
}

}  // namespace

WeightSketch::WeightSketch(const float* values, std::int64_t size) : WeightSketch(values, size, 0) {}

WeightSketch::WeightSketch(const float* values, std::int64_t size, std::int64_t begin) {
  const std::int64_t first = begin / kBuckets;
  std::uint32_t words[kRowsAtOnce * kWordsOfRow];
  for (std::int64_t row = 0; row * kBuckets < size; row += kRowsAtOnce) {
    const std::int64_t left = size - row * kBuckets;
    const std::int64_t rows = std::min(kRowsAtOnce, (left + kBuckets - 1) / kBuckets);
    DrawWords(Philox(kSignSeed), 0, 0, RandomPurpose::kSketch,
              static_cast<std::uint64_t>((first + row) * kWordsOfRow), rows * kWordsOfRow, words);
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t count = std::min(kBuckets, left - i * kBuckets);
      AddRow(values + (row + i) * kBuckets, count, words + i * kWordsOfRow, buckets_.data());
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
