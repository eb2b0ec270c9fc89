#include "swarmsync/sync/round_trace.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>

#include "support/not_numbers.h"
#include "swarmsync/swarm/bests.h"

namespace swarmsync {
namespace {

using testing::kNan;

using Vector = std::vector<float>;

RoundTrace Trace(double fitness, const Vector& end = {}) {
  RoundTrace trace;
  trace.round = 1;
  trace.fitness = fitness;
  trace.end = WeightSketch(end.data(), static_cast<std::int64_t>(end.size()));
  return trace;
}

// A worker whose every number is `value`; with fewer than 256 weights, its sketch is exact.
RoundTrace Moved(double fitness, double value) {
  RoundTrace trace = Trace(fitness, {static_cast<float>(value), 0, static_cast<float>(-value)});
  trace.displacement = value;
  trace.pull = 10 * value;
  trace.move = 100 * value;
  return trace;
}

RoundTrace LeftOut(RoundTrace trace) {
  trace.left_out = true;
  return trace;
}

std::vector<RoundTrace> TracesOf(const std::vector<double>& fitness) {
  std::vector<RoundTrace> traces;
  for (const double f : fitness) traces.push_back(Trace(f));
  return traces;
}

TEST(RoundRecorder, SaysWhichRoundAndWhoWasHowFit) {
  std::vector<RoundTrace> traces = TracesOf({3, 1, 2});
  for (RoundTrace& trace : traces) {
    trace.round = 7;
    trace.step = 112;
  }
  const RoundRecord record = RoundRecorder().Combine(traces);
  EXPECT_EQ(record.round, 7);
  EXPECT_EQ(record.step, 112);
  EXPECT_EQ(record.fitness, (std::vector<double>{3, 1, 2}));
  EXPECT_EQ(record.best, 1);
  EXPECT_TRUE(record.left_out.empty());
}

TEST(RoundRecorder, TheBestIsTheLeastFiniteFitness) {
  const auto best = [](const std::vector<double>& fitness) {
    return RoundRecorder().Combine(TracesOf(fitness)).best;
  };
  EXPECT_EQ(best({-1, -2, 0}), 1);
  EXPECT_EQ(best({2, 1, 1}), 1);  // ties: the lowest rank
  EXPECT_EQ(best({kNan, kNoFitness, 9}), 2);
  EXPECT_EQ(best({5}), 0);
  EXPECT_EQ(best({kNan, kNoFitness}), -1);
}

TEST(RoundRecorder, ImprovementIsOfTheLeastFitnessSoFar) {
  RoundRecorder recorder;
  const auto improvement = [&](const std::vector<double>& fitness) {
    return recorder.Combine(TracesOf(fitness)).improvement;
  };
  EXPECT_EQ(improvement({kNan, kNan}), 0);  // nothing to start from
  EXPECT_EQ(improvement({6, 5}), 0);        // the first one improves on nothing
  EXPECT_EQ(improvement({3, 8}), 2);
  EXPECT_EQ(improvement({3.5, 4}), 0);  // worse than before
  EXPECT_EQ(improvement({3, 3}), 0);    // no better
  EXPECT_EQ(improvement({kNan, kNoFitness}), 0);
  EXPECT_EQ(improvement({kNan, 2.75}), 0.25);  // than the 3 of three rounds ago
  EXPECT_EQ(improvement({kNoFitness, -1}), 3.75);
  EXPECT_EQ(improvement({0, 0}), 0);
  EXPECT_EQ(improvement({-1.5, 0}), 0.5);
}

TEST(RoundRecorder, TheFirstFitnessImprovesOnNothingWhateverItsSign) {
  EXPECT_EQ(RoundRecorder().Combine(TracesOf({-4, 1})).improvement, 0);
  EXPECT_EQ(RoundRecorder().Combine(TracesOf({4, 5})).improvement, 0);
  EXPECT_EQ(RoundRecorder().Combine(TracesOf({0, 5})).improvement, 0);
}

TEST(RoundRecorder, TakesMeansOverTheWorkers) {
  std::vector<RoundTrace> traces = {Moved(1, 2), Moved(1, 4), Moved(1, 9)};
  traces[0].seconds = 0.5;
  traces[2].seconds = 4;
  const RoundRecord record = RoundRecorder().Combine(traces);
  EXPECT_DOUBLE_EQ(record.displacement, 5);
  EXPECT_DOUBLE_EQ(record.pull, 50);
  EXPECT_DOUBLE_EQ(record.move, 500);
  EXPECT_DOUBLE_EQ(record.seconds, 1.5);
}

TEST(RoundRecorder, SpreadIsTheRootMeanSquareDistanceFromTheMean) {
  const auto spread = [](const std::vector<Vector>& ends) {
    std::vector<RoundTrace> traces;
    for (const Vector& end : ends) traces.push_back(Trace(1, end));
    return RoundRecorder().Combine(traces).spread;
  };
  EXPECT_DOUBLE_EQ(spread({{0, 0}, {2, 0}}), 1);
  EXPECT_DOUBLE_EQ(spread({{3, 4}, {-3, -4}}), 5);
  EXPECT_DOUBLE_EQ(spread({{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}), std::sqrt(2.0 / 3));
  EXPECT_DOUBLE_EQ(spread({{7}, {7}, {7}, {11}}), std::sqrt(3.0));  // mean 8: 1 1 1 3
  EXPECT_EQ(spread({{5, 6}, {5, 6}}), 0);
  EXPECT_EQ(spread({{5, 6}}), 0);
}

TEST(RoundRecorder, WhoWasLeftOutCountsInNoMean) {
  const RoundRecord record = RoundRecorder().Combine(
      {LeftOut(Moved(99, 1000)), Moved(2, 3), LeftOut(Moved(kNan, kNan)), Moved(1, 5)});
  EXPECT_EQ(record.left_out, (std::vector<int>{0, 2}));
  EXPECT_EQ(record.best, 3);
  EXPECT_DOUBLE_EQ(record.displacement, 4);
  EXPECT_DOUBLE_EQ(record.pull, 40);
  EXPECT_DOUBLE_EQ(record.move, 400);
  EXPECT_DOUBLE_EQ(record.spread, std::sqrt(2.0));  // ±1 in two of three weights
}

TEST(RoundRecorder, WhoHasFinishedCountsInNoMean) {
  const RoundRecord record =
      RoundRecorder().Combine({Moved(2, 3), Moved(kNoFitness, 1000), Moved(1, 5), Moved(kNoFitness, 0)});
  EXPECT_TRUE(record.left_out.empty());
  EXPECT_EQ(record.best, 2);
  EXPECT_EQ(record.fitness, (std::vector<double>{2, kNoFitness, 1, kNoFitness}));
  EXPECT_DOUBLE_EQ(record.displacement, 4);
  EXPECT_DOUBLE_EQ(record.pull, 40);
  EXPECT_DOUBLE_EQ(record.move, 400);
  EXPECT_DOUBLE_EQ(record.spread, std::sqrt(2.0));
}

TEST(RoundRecorder, ARoundWithoutAWorkerHasNoMeans) {
  const RoundRecord record = RoundRecorder().Combine({Moved(kNoFitness, 3), LeftOut(Moved(kNan, 4))});
  EXPECT_EQ(record.best, -1);
  EXPECT_EQ(record.left_out, (std::vector<int>{1}));
  for (const double mean : {record.spread, record.displacement, record.pull, record.move}) {
    EXPECT_EQ(mean, 0);
  }
}

// Without a guard, a worker whose loss is not a number works on like the others.
TEST(RoundRecorder, AWorkerWhoseLossIsNotANumberCountsUnlessItWasLeftOut) {
  const RoundRecord record = RoundRecorder().Combine({Moved(kNan, 3), Moved(1, 5)});
  EXPECT_TRUE(std::isnan(record.fitness[0]));
  EXPECT_EQ(record.best, 1);
  EXPECT_DOUBLE_EQ(record.displacement, 4);
  EXPECT_DOUBLE_EQ(record.spread, std::sqrt(2.0));
}

RC_GTEST_PROP(RoundRecorder, SpreadIsExactForShortVectors, ()) {
  const auto workers = *rc::gen::inRange<std::size_t>(1, 9), size = *rc::gen::inRange<std::size_t>(1, 40);
  const auto value = rc::gen::map(rc::gen::inRange(-1000, 1000), [](int v) { return v / 16.0f; });
  std::vector<Vector> ends;
  std::vector<RoundTrace> traces;
  for (std::size_t i = 0; i < workers; ++i) {
    ends.push_back(*rc::gen::container<Vector>(size, value));
    traces.push_back(Trace(1, ends.back()));
  }
  double square = 0;  // by its other formula: the mean square distance of all pairs, halved
  for (const Vector& a : ends) {
    for (const Vector& b : ends) {
      for (std::size_t k = 0; k < size; ++k) square += std::pow(static_cast<double>(a[k]) - b[k], 2);
    }
  }
  square /= 2.0 * static_cast<double>(workers * workers);
  const double spread = RoundRecorder().Combine(traces).spread;
  RC_ASSERT(std::abs(spread * spread - square) <= 1e-9 * (1 + square));
}

}  // namespace
}  // namespace swarmsync
