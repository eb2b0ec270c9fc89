#include "swarmsync/swarm/informed.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "support/not_numbers.h"

namespace swarmsync {
namespace {

using testing::kInfinity;
using testing::kNan;

using Values = std::vector<double>;

double Sum(const Values& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

void ExpectNear(const Values& weights, const Values& expected) {
  ASSERT_EQ(weights.size(), expected.size());
  for (std::size_t i = 0; i < weights.size(); ++i) EXPECT_NEAR(weights[i], expected[i], 1e-12) << i;
}

TEST(InformedWeights, AreWhatOneComputesByHand) {
  // The mean is 2: e^0, e^-½ and e^-1, over their sum 1.9744101008840758.
  ExpectNear(InformedWeights({1, 2, 3}, 1), {0.5064803910556540, 0.3071958857184984, 0.1863237232258476});
  // 1 and e^-2, over 1.1353352832366128.
  ExpectNear(InformedWeights({3, 1}, 2), {0.1192029220221176, 0.8807970779778823});
  ExpectNear(InformedWeights({2, 0}, 1), {0.1192029220221176, 0.8807970779778823});
}

TEST(InformedWeights, NegativeFitnessesAreScaledByTheirMeanSize) {
  // Mean |f| is 1 and 2: 1 and e^-1, over 1.3678794411714423.
  ExpectNear(InformedWeights({-1, 1}, 0.5), {0.7310585786300049, 0.2689414213699951});
  ExpectNear(InformedWeights({-1, -3}, 1), {0.2689414213699951, 0.7310585786300049});
}

TEST(InformedWeights, FitnessesAroundZeroAreNotScaledBelowAFloor) {
  EXPECT_EQ(InformedWeights({0, 0, 0, 0}, 5), Values(4, 0.25));
  EXPECT_EQ(InformedWeights({0, 0x1p-1074}, 1), Values(2, 0.5));
  // The mean is 5e-13, and counts as 1e-12: 1 and e^-1.
  ExpectNear(InformedWeights({0, 1e-12}, 1), {0.7310585786300049, 0.2689414213699951});
  ExpectNear(InformedWeights({0, 1e-11}, 1), {0.8807970779778823, 0.1192029220221176});  // above the floor
}

TEST(InformedWeights, BetaZeroIsEven) {
  EXPECT_EQ(InformedWeights({1, 20, 300, -4000}, 0), Values(4, 0.25));
  EXPECT_EQ(InformedWeights({kNan, 1, 2, kInfinity}, 0), Values({0, 0.5, 0.5, 0}));
}

TEST(InformedWeights, AHugeBetaPicksTheBest) {
  EXPECT_EQ(InformedWeights({3, 1, 2}, 1e6), Values({0, 1, 0}));
  EXPECT_EQ(InformedWeights({-3, -1, -2}, 1e6), Values({1, 0, 0}));
  EXPECT_EQ(InformedWeights({2, 1, 1, 3}, 1e6), Values({0, 0.5, 0.5, 0}));
}

TEST(InformedWeights, EqualFitnessesHaveEqualWeights) {
  EXPECT_EQ(InformedWeights({7, 7, 7, 7}, 3), Values(4, 0.25));
  const Values weights = InformedWeights({2, 1, 2, 1}, 1.5);
  EXPECT_EQ(weights[0], weights[2]);
  EXPECT_EQ(weights[1], weights[3]);
  EXPECT_LT(weights[0], weights[1]);
}

TEST(InformedWeights, AFitnessThatIsNotFiniteCountsNothing) {
  // Nor does it in the mean, which is 2.
  ExpectNear(InformedWeights({kNan, 1, kInfinity, 3, -kInfinity}, 1),
             {0, 0.7310585786300049, 0, 0.2689414213699951, 0});
  EXPECT_EQ(InformedWeights({kInfinity, 5, kNan}, 2), Values({0, 1, 0}));
  EXPECT_EQ(InformedWeights({5}, 2), Values({1}));
}

TEST(InformedWeights, AreZeroWhenNoFitnessIsFinite) {
  EXPECT_EQ(InformedWeights({kNan, kInfinity, -kInfinity}, 1), Values(3, 0.0));
  EXPECT_EQ(InformedWeights({kInfinity}, 0), Values({0}));
  EXPECT_EQ(InformedWeights({}, 1), Values());
}

// As large as losses that come from float32 can be, with the greatest beta.
TEST(InformedWeights, LargeLossesDoNotOverflow) {
  constexpr double kGreatest = std::numeric_limits<float>::max();
  EXPECT_EQ(InformedWeights({kGreatest, 1, kGreatest}, 1e6), Values({0, 1, 0}));
  EXPECT_EQ(InformedWeights({kGreatest, -kGreatest}, 1e6), Values({0, 1}));
  EXPECT_EQ(InformedWeights({kGreatest, kGreatest}, 1e6), Values(2, 0.5));
  ExpectNear(InformedWeights({kGreatest, 0}, 0.5), {0.2689414213699951, 0.7310585786300049});
}

Values AnyFitnesses() {
  const auto fitness = rc::gen::weightedOneOf<double>(
      {{8, rc::gen::map(rc::gen::inRange(-50, 50), [](int value) { return value / 10.0; })},
       {1, rc::gen::element(kNan, kInfinity, -kInfinity)}});
  return *rc::gen::container<Values>(fitness);
}

double AnyBeta() {
  return *rc::gen::map(rc::gen::inRange(0, 200), [](int value) { return value / 20.0; });
}

RC_GTEST_PROP(InformedWeights, SumToOneAndAreNoGreaterForTheWorse, ()) {
  const Values fitness = AnyFitnesses();
  const Values weights = InformedWeights(fitness, AnyBeta());
  RC_ASSERT(weights.size() == fitness.size());
  bool any = false;
  for (std::size_t i = 0; i < fitness.size(); ++i) {
    RC_ASSERT(weights[i] >= 0);
    if (!std::isfinite(fitness[i])) RC_ASSERT(weights[i] == 0);
    any = any || std::isfinite(fitness[i]);
    for (std::size_t j = 0; j < fitness.size(); ++j) {
      if (std::isfinite(fitness[i]) && fitness[i] < fitness[j]) RC_ASSERT(weights[i] >= weights[j]);
    }
  }
  RC_ASSERT(std::abs(Sum(weights) - (any ? 1 : 0)) < 1e-12);
}

RC_GTEST_PROP(InformedWeights, AreTheSameInAnyUnit, ()) {
  const Values fitness = AnyFitnesses();
  const double beta = AnyBeta(), unit = *rc::gen::element(0x1p-20, 0.5, 2.0, 0x1p30);
  Values scaled = fitness;
  for (double& f : scaled) f *= unit;
  RC_ASSERT(InformedWeights(scaled, beta) == InformedWeights(fitness, beta));
}

RC_GTEST_PROP(InformedWeights, FollowTheWorkersInAnyOrder, ()) {
  const Values fitness = AnyFitnesses();
  const double beta = AnyBeta();
  const Values weights = InformedWeights(fitness, beta);
  const Values mirrored = InformedWeights(Values(fitness.rbegin(), fitness.rend()), beta);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    RC_ASSERT(std::abs(weights[i] - mirrored[weights.size() - 1 - i]) < 1e-12);
  }
}

}  // namespace
}  // namespace swarmsync
