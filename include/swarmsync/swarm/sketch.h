#pragma once

#include <array>
#include <cstdint>

namespace swarmsync {

// A short image of a long vector that keeps distances (Alon, Matias and Szegedy 1996; Charikar, Chen and
// Farach-Colton 2002): bucket b holds the sum of s_k x_k over its elements k, with signs s_k drawn once and
// for all. Each row of kBuckets elements has one in each bucket, in an order of its groups of eight that is
// drawn for the row. It is linear, so the sketch of a difference is the difference of the sketches, and its
// Euclidean norm estimates the vector's, without bias in the square and with a relative standard error of 1 /
// sqrt(2 kBuckets), that is 4.4 %. So workers can tell how far apart they are by sending 2 KB, whatever the
// size of the model. Local.
class WeightSketch {
 public:
  static constexpr std::int64_t kBuckets = 256;  // numbers in a sketch
  static constexpr std::uint64_t kSignSeed = 0;  // the same everywhere, or sketches could not be compared

  WeightSketch() = default;                              // of the zero vector
  WeightSketch(const float* values, std::int64_t size);  // one pass over memory
  // What the elements from `begin` on contribute, the first of which is *values. begin: a multiple of
  // kBuckets.
  WeightSketch(const float* values, std::int64_t size, std::int64_t begin);
  explicit WeightSketch(const std::array<double, kBuckets>& buckets) : buckets_(buckets) {}  // made elsewhere

  // The sketch of the sum of the two vectors.
  WeightSketch& operator+=(const WeightSketch& other);
  WeightSketch& operator-=(const WeightSketch& other);  // that of their difference
  WeightSketch& operator*=(double factor);              // that of the vector times a number
  friend WeightSketch operator-(WeightSketch a, const WeightSketch& b) { return a -= b; }

  // The estimate of the vector's Euclidean norm; not finite where an element is not.
  double Norm() const;
  // The sketch itself, for sending and saving.
  const std::array<double, kBuckets>& buckets() const { return buckets_; }

 private:
  std::array<double, kBuckets> buckets_{};
};

}  // namespace swarmsync
