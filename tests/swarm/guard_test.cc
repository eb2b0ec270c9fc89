#include "swarmsync/swarm/guard.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/not_numbers.h"

namespace swarmsync {
namespace {

using testing::kInfinity;
using testing::kNan;

using Values = std::vector<double>;
using Out = std::vector<bool>;

// Workers who have all come as far.
Out FarOutByLoss(const Values& losses) {
  std::vector<Conduct> workers;
  for (const double loss : losses) workers.push_back({loss, 1.5});
  return FarOut(workers);
}

// Workers who have all the same loss.
Out FarOutByDistance(const Values& distances) {
  std::vector<Conduct> workers;
  for (const double distance : distances) workers.push_back({1.5, distance});
  return FarOut(workers);
}

TEST(FarOutByLoss, EqualLossesStay) {
  EXPECT_EQ(FarOutByLoss({2, 2, 2}), Out({false, false, false}));
  EXPECT_EQ(FarOutByLoss({0, 0}), Out({false, false}));
  EXPECT_EQ(FarOutByLoss({7}), Out({false}));
  EXPECT_EQ(FarOut({}), Out());
}

// Median 3, distances 2 1 0 1 …, so MAD 1 and the limit is 3 + 5 · 1.4826 = 10.413.
TEST(FarOutByLoss, TheLimitIsFiveDeviationsAboveTheMedian) {
  EXPECT_EQ(FarOutByLoss({1, 2, 3, 4, 10.412}), Out({false, false, false, false, false}));
  EXPECT_EQ(FarOutByLoss({1, 2, 3, 4, 10.414}), Out({false, false, false, false, true}));
  EXPECT_EQ(FarOutByLoss({10.414, 3, 1, 4, 2}), Out({true, false, false, false, false}));
}

TEST(FarOutByLoss, ButNeverBelowTwiceTheMedian) {
  EXPECT_EQ(FarOutByLoss({1, 1, 1, 2}), Out({false, false, false, false}));
  EXPECT_EQ(FarOutByLoss({1, 1, 1, 2.001}), Out({false, false, false, true}));
  EXPECT_EQ(FarOutByLoss({4, 4.1, 3.9, 7.9}), Out({false, false, false, false}));  // MAD 0.1
  EXPECT_EQ(FarOutByLoss({4, 4.1, 3.9, 8.1}), Out({false, false, false, true}));
}

TEST(FarOutByLoss, OfTwoMediansTheLowerCounts) {
  EXPECT_EQ(FarOutByLoss({1, 3}), Out({false, true}));  // median 1, MAD 0
  EXPECT_EQ(FarOutByLoss({3, 1}), Out({true, false}));  // in whatever order
  EXPECT_EQ(FarOutByLoss({2, 2, 3, 5}),
            Out({false, false, false, true}));  // distances 0 0 1 3: MAD 0, limit 4
  EXPECT_EQ(FarOutByLoss({1, 2, 3, 9}), Out({false, false, false, false}));  // median 2, MAD 1, limit 9.413
  EXPECT_EQ(FarOutByLoss({1, 2, 3, 9.5}), Out({false, false, false, true}));
}

TEST(FarOutByLoss, NegativeLossesHaveALimitAboveTheirMedian) {
  EXPECT_EQ(FarOutByLoss({-3, -3, -3, 0}), Out({false, false, false, false}));  // limit -3 + 3
  EXPECT_EQ(FarOutByLoss({-3, -3, -3, 0.001}), Out({false, false, false, true}));
  EXPECT_EQ(FarOutByLoss({-4, -3, -2, 4.4}), Out({false, false, false, false}));  // limit -3 + 7.413
  EXPECT_EQ(FarOutByLoss({-4, -3, -2, 4.5}), Out({false, false, false, true}));
}

TEST(FarOutByLoss, AMuchLowerLossStays) {
  EXPECT_EQ(FarOutByLoss({1e9, 1e9, 1e9, -1e9, 0}), Out({false, false, false, false, false}));
}

TEST(FarOutByLoss, ALossThatIsNotANumberIsFarOut) {
  EXPECT_EQ(FarOutByLoss({1, kNan, 2}), Out({false, true, false}));
  EXPECT_EQ(FarOutByLoss({kNan, kNan, 5}), Out({true, true, false}));
  EXPECT_EQ(FarOutByLoss({1, kNan, kNan, kNan, 3}),
            Out({false, true, true, true, true}));  // median 1: of two
}

TEST(FarOutByLoss, AFinishedWorkerIsNotJudged) {
  EXPECT_EQ(FarOutByLoss({1, kInfinity, 2}), Out({false, false, false}));
  EXPECT_EQ(FarOutByLoss({1, kInfinity, kInfinity, kInfinity, 3}), Out({false, false, false, false, true}));
}

TEST(FarOutByLoss, NobodyIsWhenNoLossIsFinite) {
  EXPECT_EQ(FarOutByLoss({kNan, kNan}), Out({false, false}));
  EXPECT_EQ(FarOutByLoss({kNan, kInfinity}), Out({false, false}));
  EXPECT_EQ(FarOutByLoss({kInfinity}), Out({false}));
}

TEST(FarOutByLoss, TheGreatestNumbersDoNotOverflowIntoAVerdict) {
  EXPECT_EQ(FarOutByLoss({1e308, 1.5e308, 1.7e308}), Out({false, false, false}));
  EXPECT_EQ(FarOutByLoss({-1.7e308, -1.7e308, 1.7e308}), Out({false, false, true}));
  EXPECT_EQ(FarOutByLoss({-1.7e308, 0, 1.7e308}), Out({false, false, false}));
}

TEST(FarOutByDistance, EqualDistancesStay) {
  EXPECT_EQ(FarOutByDistance({2, 2, 2}), Out({false, false, false}));
  EXPECT_EQ(FarOutByDistance({0, 0}), Out({false, false}));
  EXPECT_EQ(FarOutByDistance({7}), Out({false}));
}

TEST(FarOutByDistance, TenTimesTheMedianIsAllowed) {
  EXPECT_EQ(FarOutByDistance({1, 1, 1, 10}), Out({false, false, false, false}));
  EXPECT_EQ(FarOutByDistance({1, 1, 1, 10.01}), Out({false, false, false, true}));
  EXPECT_EQ(FarOutByDistance({1, 10.01}), Out({false, true}));                        // the lower median
  EXPECT_EQ(FarOutByDistance({2, 2.1, 1.9, 19}), Out({false, false, false, false}));  // MAD 0.1
  EXPECT_EQ(FarOutByDistance({2, 2.1, 1.9, 21}), Out({false, false, false, true}));
}

// The MAD of numbers that are not negative is at most their median, so five deviations never reach further.
TEST(FarOutByDistance, AndNoMoreHoweverTheyDeviate) {
  EXPECT_EQ(FarOutByDistance({0, 0, 2, 4, 20}), Out({false, false, false, false, false}));  // MAD 2
  EXPECT_EQ(FarOutByDistance({0, 0, 2, 4, 20.01}), Out({false, false, false, false, true}));
}

TEST(FarOutByDistance, AMuchShorterWayStays) {
  EXPECT_EQ(FarOutByDistance({1e9, 1e9, 1e9, 0}), Out({false, false, false, false}));
}

TEST(FarOut, IsWhoIsItInEither) {
  EXPECT_EQ(FarOut({{1, 1}, {1, 1}, {1, 1}, {9, 1}, {1, 99}, {0, 99}, {9, 0}, {9, 99}}),
            Out({false, false, false, true, true, true, true, true}));
}

TEST(FarOut, WhoHasFinishedOrIsNoNumberHasNoPartInTheMediansOfTheOthers) {
  // The medians are 1 and 1, not those of all, which are 1 and 1000.
  const std::vector<Conduct> workers = {{1, 1},    {kInfinity, 1000}, {kNan, 1000}, {kNan, 1000},
                                        {1, 10.5}, {kInfinity, 1000}, {1, 1}};
  EXPECT_EQ(FarOut(workers), Out({false, false, true, true, true, false, false}));
  EXPECT_EQ(FarOut({{1, 1}, {kNan, kNan}, {1, 1}}),
            Out({false, true, false}));  // nor need its way be a number
  EXPECT_EQ(FarOut({{1, 1}, {kInfinity, 0}, {kInfinity, 0}}), Out({false, false, false}));
}

TEST(FarOut, NobodyIsByDistanceWhenNoLossIsFinite) {
  EXPECT_EQ(FarOut({{kNan, 1}, {kInfinity, 1000}, {kNan, 1000}}), Out({false, false, false}));
}

std::vector<Conduct> AnyWorkers() {
  const auto loss = rc::gen::weightedOneOf<double>(
      {{8, rc::gen::map(rc::gen::inRange(-80, 80), [](int value) { return value / 8.0; })},
       {2, rc::gen::map(rc::gen::inRange(-500, 500), [](int value) { return value / 1.0; })},
       {1, rc::gen::element(kNan, kInfinity)}});
  const auto distance = rc::gen::oneOf(rc::gen::map(rc::gen::inRange(0, 50), [](int v) { return v / 8.0; }),
                                       rc::gen::map(rc::gen::inRange(0, 500), [](int v) { return v / 1.0; }));
  std::vector<Conduct> workers;
  for (const double l : *rc::gen::container<Values>(loss)) workers.push_back({l, *distance});
  return workers;
}

double LowerMedian(Values values) {
  std::sort(values.begin(), values.end());
  return values[(values.size() - 1) / 2];
}

double Limit(const Values& values, double relative) {
  const double median = LowerMedian(values);
  Values deviations = values;
  for (double& value : deviations) value = std::abs(value - median);
  return median + std::max(relative * std::abs(median), 5 * 1.4826 * LowerMedian(deviations));
}

RC_GTEST_PROP(FarOut, IsWhoIsAboveALimit, ()) {
  const std::vector<Conduct> workers = AnyWorkers();
  const Out out = FarOut(workers);
  RC_ASSERT(out.size() == workers.size());
  Values losses, distances;
  for (const Conduct& worker : workers) {
    if (!std::isfinite(worker.loss)) continue;
    losses.push_back(worker.loss);
    distances.push_back(worker.distance);
  }
  Out by_loss, by_both;
  std::size_t remain = 0;
  for (const Conduct& worker : workers) {
    const bool judged = std::isfinite(worker.loss), nan = std::isnan(worker.loss) && !losses.empty();
    by_loss.push_back(nan || (judged && worker.loss > Limit(losses, 1)));
    by_both.push_back(by_loss.back() || (judged && worker.distance > 10 * LowerMedian(distances)));
    remain += judged && !by_both.back() ? 1 : 0;
  }
  RC_ASSERT(out == (remain > 0 ? by_both : by_loss));
  RC_ASSERT(losses.empty() || std::count(out.begin(), out.end(), false) > 0);
}

TEST(FarOut, LeavesSomeoneWhenOneHalfIsFarByLossAndTheOtherByDistance) {
  EXPECT_EQ(FarOut({{1, 11}, {3, 1}}), (Out{false, true}));
  EXPECT_EQ(FarOut({{1, 11}, {1, 11}, {3, 1}, {3, 1}}), (Out{false, false, true, true}));
}

RC_GTEST_PROP(FarOut, DependsNeitherOnTheOrderNorOnTheUnits, ()) {
  const std::vector<Conduct> workers = AnyWorkers();
  const Out out = FarOut(workers);
  std::vector<Conduct> scaled = workers;
  for (Conduct& worker : scaled) worker = {worker.loss * 0x1p-20, worker.distance * 0x1p30};
  RC_ASSERT(FarOut(scaled) == out);
  const std::vector<Conduct> backwards(workers.rbegin(), workers.rend());
  RC_ASSERT(FarOut(backwards) == Out(out.rbegin(), out.rend()));
}

}  // namespace
}  // namespace swarmsync
