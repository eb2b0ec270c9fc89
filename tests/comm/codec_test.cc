#include "comm/codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace swarmsync {
namespace {

using Vector = std::vector<float>;

constexpr std::int64_t kSizes[] = {0, 1, 7, 511, 512, 513, 1537};

Vector Wave(std::int64_t size, float scale = 1) {
  Vector x;
  for (std::int64_t i = 0; i < size; ++i) x.push_back(scale * std::sin(0.37f * static_cast<float>(i)));
  return x;
}

Vector Sent(Wire wire, const Change& change, std::int64_t size) {
  std::vector<std::uint8_t> bytes(EncodedBytes(wire, size) + 1, 0xab);
  EncodeChange(wire, change, size, bytes.data());
  EXPECT_EQ(bytes.back(), 0xab) << "it wrote beyond its bytes";
  Vector x(static_cast<std::size_t>(size));
  AddDecoded(wire, bytes.data(), 1, size, x.data());
  return x;
}

float LargestDifference(const Vector& a, const Vector& b) {
  float largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

class CodecTest : public ::testing::TestWithParam<Wire> {
 protected:
  // The largest error of a number below 1 in a block whose largest is 1.
  double bound() const { return GetParam() == Wire::kBf16 ? 1.0 / 256 : 0.5 / 127 + 1e-6; }
};
INSTANTIATE_TEST_SUITE_P(Wires, CodecTest, ::testing::Values(Wire::kBf16, Wire::kInt8),
                         [](const auto& info) { return ToString(info.param); });

TEST_P(CodecTest, ArrivesToItsPrecision) {
  for (const std::int64_t size : kSizes) {
    const Vector x = Wave(size);
    EXPECT_LE(LargestDifference(Sent(GetParam(), {x.data()}, size), x), bound()) << size;
  }
}

TEST_P(CodecTest, SendsTheScaledDifference) {
  const Vector x = Wave(700, 3), reference = Wave(700, 2);
  Vector expected = Wave(700, 0.5);
  const Change change{x.data(), reference.data(), 0.5};
  EXPECT_LE(LargestDifference(Sent(GetParam(), change, 700), expected), bound());
}

TEST_P(CodecTest, WhatIsLostComesWithTheNext) {
  const Vector x = Wave(1000);
  Vector lost(1000), total(1000);
  for (int round = 1; round <= 50; ++round) {
    const Change change{x.data(), nullptr, 1, lost.data()};
    const Vector sent = Sent(GetParam(), change, 1000);
    for (std::size_t i = 0; i < total.size(); ++i) total[i] += sent[i];
    for (std::size_t i = 0; i < total.size(); ++i)
      ASSERT_NEAR(total[i] + lost[i], static_cast<float>(round) * x[i], 1e-3) << round;
    EXPECT_LE(LargestDifference(lost, Vector(1000)), 2 * bound()) << round;
  }
}

TEST_P(CodecTest, ANumberThatIsNotFiniteArrivesAsSuchAndIsNotKept) {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    Vector x = Wave(1100), lost(1100);
    x[600] = bad;
    const Change change{x.data(), nullptr, 1, lost.data()};
    const Vector sent = Sent(GetParam(), change, 1100);
    EXPECT_FALSE(std::isfinite(sent[600]));
    EXPECT_TRUE(std::isfinite(sent[0])) << "in another block";
    for (const float number : lost) ASSERT_TRUE(std::isfinite(number));
  }
}

TEST_P(CodecTest, ZerosAndTheSmallestNumbersStayFinite) {
  EXPECT_EQ(Sent(GetParam(), {Vector(600).data()}, 600), Vector(600));
  const Vector tiny(600, std::numeric_limits<float>::denorm_min());
  for (const float number : Sent(GetParam(), {tiny.data()}, 600)) EXPECT_LE(std::abs(number), 1e-30f);
}

TEST_P(CodecTest, AddsWithAFactor) {
  const Vector x = Wave(513);
  std::vector<std::uint8_t> bytes(EncodedBytes(GetParam(), 513));
  EncodeChange(GetParam(), {x.data()}, 513, bytes.data());
  Vector sum(513, 1);
  AddDecoded(GetParam(), bytes.data(), -2, 513, sum.data());
  for (std::size_t i = 0; i < sum.size(); ++i) EXPECT_NEAR(sum[i], 1 - 2 * x[i], 2 * bound());
}

TEST(EncodedBytes, AreHalfOrAQuarter) {
  EXPECT_EQ(EncodedBytes(Wire::kBf16, 1000), 2000u);
  EXPECT_EQ(EncodedBytes(Wire::kInt8, 1024), 1024u + 8);
  EXPECT_EQ(EncodedBytes(Wire::kInt8, 1025), 1025u + 12);
  EXPECT_EQ(EncodedBytes(Wire::kInt8, 0), 0u);
}

TEST(Bf16, RoundsToEven) {
  // One and a half units in the last of bf16's places, and half a unit.
  const Vector x{1 + 1.5f / 128, 1 + 0.5f / 128, -1 - 0.6f / 128};
  EXPECT_EQ(Sent(Wire::kBf16, {x.data()}, 3), (Vector{1 + 2.0f / 128, 1, -1 - 1.0f / 128}));
}

}  // namespace
}  // namespace swarmsync
