#include "swarmsync/swarm/sketch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace swarmsync {
namespace {

using Vector = std::vector<float>;

WeightSketch Sketch(const Vector& x) { return {x.data(), static_cast<std::int64_t>(x.size())}; }

double ExactNorm(const Vector& x) {
  double sum = 0;
  for (const float value : x) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

// Whole numbers from -50 to 50, for sums without rounding.
Vector WholeNumbers(std::int64_t size, std::uint32_t seed) {
  std::mt19937 random(seed);
  Vector x(static_cast<std::size_t>(size));
  for (float& value : x) value = static_cast<float>(random() % 101) - 50;
  return x;
}

constexpr std::int64_t kSizes[] = {0, 1, 2, 31, 33, 255, 256, 257, 512, 6163, 61706};

TEST(WeightSketch, OfZeroIsZero) {
  EXPECT_EQ(WeightSketch().Norm(), 0);
  EXPECT_EQ(WeightSketch(nullptr, 0).Norm(), 0);
  for (const std::int64_t size : kSizes) EXPECT_EQ(Sketch(Vector(size)).Norm(), 0) << size;
}

TEST(WeightSketch, OfOneElementIsExact) {
  for (const std::int64_t size : kSizes) {
    for (const std::int64_t place : {std::int64_t{0}, size / 3, size / 2, size - 1}) {
      if (size == 0) continue;
      Vector x(static_cast<std::size_t>(size));
      x[static_cast<std::size_t>(place)] = -0.7f;
      EXPECT_DOUBLE_EQ(Sketch(x).Norm(), 0.7f) << place << " of " << size;
    }
  }
}

TEST(WeightSketch, OfAsManyElementsAsBucketsIsExact) {
  for (const std::int64_t size : {1, 2, 31, 32, 33, 255, 256}) {
    const Vector x = WholeNumbers(size, 5);
    EXPECT_DOUBLE_EQ(Sketch(x).Norm(), ExactNorm(x)) << size;
  }
}

// It shares a bucket with one of the others, with one sign or with two.
TEST(WeightSketch, OneElementMoreSharesABucket) {
  Vector x(257, 1);
  x[256] = 5;
  const double square = std::pow(Sketch(x).Norm(), 2), others = 255;
  EXPECT_TRUE(std::abs(square - others - 36) < 1e-9 || std::abs(square - others - 16) < 1e-9) << square;
}

TEST(WeightSketch, IsTheSumOfItsParts) {
  const Vector x = WholeNumbers(6163, 3);
  for (const std::int64_t cut : {0, 256, 2048, 6144}) {
    WeightSketch sum(x.data(), cut);
    sum += WeightSketch(x.data() + cut, 6163 - cut, cut);
    EXPECT_EQ(sum.buckets(), Sketch(x).buckets()) << cut;
  }
}

TEST(WeightSketch, IsLinear) {
  for (const std::int64_t size : kSizes) {
    const Vector a = WholeNumbers(size, 1), b = WholeNumbers(size, 2);
    Vector sum = a, difference = a, half = a;
    for (std::size_t k = 0; k < a.size(); ++k) {
      sum[k] += b[k];
      difference[k] -= b[k];
      half[k] *= -0.5f;
    }
    EXPECT_EQ((Sketch(a) - Sketch(b) - Sketch(difference)).Norm(), 0) << size;
    EXPECT_EQ((Sketch(a) - Sketch(a)).Norm(), 0) << size;
    WeightSketch added = Sketch(a);
    added += Sketch(b);
    EXPECT_EQ((added - Sketch(sum)).Norm(), 0) << size;
    added -= Sketch(b);
    EXPECT_EQ((added - Sketch(a)).Norm(), 0) << size;
    WeightSketch scaled = Sketch(a);
    scaled *= -0.5;
    EXPECT_EQ((scaled - Sketch(half)).Norm(), 0) << size;
    EXPECT_EQ(scaled.Norm(), 0.5 * Sketch(a).Norm()) << size;
    scaled *= 0;
    EXPECT_EQ(scaled.Norm(), 0) << size;
  }
}

TEST(WeightSketch, DiffersWhereTheVectorsDo) {
  const Vector a = WholeNumbers(61706, 3);
  Vector b = a;
  b[61705] += 2;
  EXPECT_EQ((Sketch(b) - Sketch(a)).Norm(), 2);
  EXPECT_EQ((Sketch(a) - Sketch(b)).Norm(), 2);
}

TEST(WeightSketch, SumsInDoublePrecision) {
  Vector x(257, 0x1p30f), shorter(256, 0x1p30f);
  x[256] = 1;
  EXPECT_EQ((Sketch(x) - Sketch(shorter)).Norm(), 1);
}

TEST(WeightSketch, OfWhatIsNotFiniteIsNotFinite) {
  Vector x(1000, 1);
  x[600] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(std::isfinite(Sketch(x).Norm()));
  x[600] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(std::isfinite(Sketch(x).Norm()));
}

// A vector whose elements are all 1 shows the signs: without them, or with the same ones in every row, its
// norm would be up to 15 times too great.
TEST(WeightSketch, OfAConstantVectorIsClose) {
  for (const std::int64_t size : {257, 512, 1000, 6163, 61706}) {
    const Vector x(static_cast<std::size_t>(size), 0.25f);
    EXPECT_NEAR(Sketch(x).Norm() / ExactNorm(x), 1, 0.2) << size;
  }
}

// Half of the elements of two rows have the same sign: 128 of 256, standard deviation 8.
TEST(WeightSketch, SignsOfAnyTwoRowsAreUnrelated) {
  for (const auto& [a, b] : {std::pair(0, 1), std::pair(0, 2), std::pair(1, 2), std::pair(5, 200)}) {
    Vector x(201 * 256);
    for (std::int64_t k = 0; k < 256; ++k) x[a * 256 + k] = x[b * 256 + k] = 0.5f;
    const double same = std::pow(Sketch(x).Norm(), 2);  // 1 for each bucket with twice the same sign
    EXPECT_NEAR(same, 128, 48) << a << ", " << b;
  }
}

struct Errors {
  double mean_square = 0;  // of the ratio of the estimate to the norm
  double deviation = 0;    // of the ratio from 1, root mean square
  double greatest = 0;     // distance of the ratio from 1
};

template <class Draw>
Errors ErrorsOf(int times, Draw&& draw) {
  Errors errors;
  for (int i = 0; i < times; ++i) {
    const Vector x = draw();
    const double ratio = Sketch(x).Norm() / ExactNorm(x);
    errors.mean_square += ratio * ratio / times;
    errors.deviation += (ratio - 1) * (ratio - 1) / times;
    errors.greatest = std::max(errors.greatest, std::abs(ratio - 1));
  }
  errors.deviation = std::sqrt(errors.deviation);
  return errors;
}

double Uniform(std::mt19937& random) { return random() * 0x1p-31 - 1; }  // in [-1, 1)

void ExpectAsClaimed(const Errors& errors) {
  EXPECT_NEAR(errors.mean_square, 1, 0.01);
  EXPECT_NEAR(errors.deviation, 1 / std::sqrt(2.0 * WeightSketch::kBuckets), 0.008);  // 4.4 %
  EXPECT_LT(errors.greatest, 0.2);
}

TEST(WeightSketch, EstimatesRandomVectorsAsClaimed) {
  std::mt19937 random(1);
  ExpectAsClaimed(ErrorsOf(800, [&] {
    Vector x(6163);
    for (float& value : x) value = static_cast<float>(Uniform(random));
    return x;
  }));
}

// Here the signs alone make the estimate: all 256 elements of a row are the same.
TEST(WeightSketch, EstimatesVectorsWithStructureAsClaimed) {
  std::mt19937 random(2);
  ExpectAsClaimed(ErrorsOf(800, [&] {
    Vector x;
    while (x.size() < 24 * 256) x.insert(x.end(), 256, static_cast<float>(Uniform(random)));
    return x;
  }));
}

TEST(WeightSketch, EstimatesTheDistanceOfModelsThatAreClose) {
  std::mt19937 random(3);
  Vector a(61706);
  for (float& value : a) value = static_cast<float>(Uniform(random));
  for (int i = 0; i < 10; ++i) {
    Vector b = a, difference = a;
    for (std::size_t k = 0; k < a.size(); ++k) {
      b[k] += static_cast<float>(1e-3 * Uniform(random));
      difference[k] = b[k] - a[k];
    }
    EXPECT_NEAR((Sketch(a) - Sketch(b)).Norm() / ExactNorm(difference), 1, 0.2);
  }
}

}  // namespace
}  // namespace swarmsync
