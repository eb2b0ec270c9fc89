#include "swarmsync/swarm/inertia_tuner.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/not_numbers.h"

namespace swarmsync {
namespace {

using testing::kNan;

// The lesson of the last of so many exchanges with the same fitness; the others must have none.
InertiaTuner::Lesson LessonAfter(InertiaTuner& tuner, const std::vector<double>& fitness, int exchanges) {
  for (int i = 1; i < exchanges; ++i) EXPECT_EQ(tuner.Update(fitness).teacher, -1) << i;
  return tuner.Update(fitness);
}

TEST(InertiaTuner, BeginsWithInertiasSpreadEvenly) {
  EXPECT_NEAR(InertiaTuner(1, 0).inertias()[0], 0.6, 1e-12);
  const std::vector<double> four = InertiaTuner(4, 0).inertias();
  for (int rank = 0; rank < 4; ++rank) EXPECT_NEAR(four[rank], 0.375 + 0.15 * rank, 1e-12);
}

TEST(InertiaTuner, TheWorstLearnsFromTheBestAfterEightExchanges) {
  InertiaTuner tuner(4, 1);
  const std::vector<double> before = tuner.inertias();
  const auto lesson = LessonAfter(tuner, {3, 1, 4, 2}, InertiaTuner::kRounds);
  EXPECT_EQ(lesson.teacher, 1);
  EXPECT_EQ(lesson.pupil, 2);
  EXPECT_NE(tuner.inertias()[2], before[1]) << "changed by a little";
  EXPECT_NEAR(tuner.inertias()[2], before[1], InertiaTuner::kChange);
  for (const int rank : {0, 1, 3}) EXPECT_EQ(tuner.inertias()[rank], before[rank]);
  // The next lesson is of the fitness since then alone.
  EXPECT_EQ(LessonAfter(tuner, {1, 2, 1.5, 1.2}, InertiaTuner::kRounds).pupil, 1);
}

TEST(InertiaTuner, ItIsTheMeanOverTheExchangesThatCounts) {
  InertiaTuner tuner(2, 1);
  tuner.Update({100, 0});
  EXPECT_EQ(LessonAfter(tuner, {1, 2}, InertiaTuner::kRounds - 1).teacher, 1);
}

TEST(InertiaTuner, AFitnessThatIsNotFiniteIsTheWorst) {
  InertiaTuner tuner(3, 1);
  const auto lesson = LessonAfter(tuner, {5, kNan, 4}, InertiaTuner::kRounds);
  EXPECT_EQ(lesson.teacher, 2);
  EXPECT_EQ(lesson.pupil, 1);
  EXPECT_EQ(LessonAfter(tuner, {kNan, kNan, kNan}, InertiaTuner::kRounds).teacher, -1);
  EXPECT_EQ(LessonAfter(tuner, {1, 1, 1}, InertiaTuner::kRounds).teacher, -1) << "none is better";
}

TEST(InertiaTuner, StaysInItsBoundsAndDependsOnTheSeedAlone) {
  InertiaTuner tuner(4, 5), same(4, 5), other(4, 6);
  for (int i = 0; i < 4000; ++i) {
    const std::vector<double> fitness = {0.0 - i % 3, 1.0 * (i % 7), 2, 3.0 - i % 5};
    tuner.Update(fitness);
    same.Update(fitness);
    other.Update(fitness);
    for (const double inertia : tuner.inertias()) {
      ASSERT_GE(inertia, 0);
      ASSERT_LE(inertia, InertiaTuner::kCap);
    }
  }
  EXPECT_EQ(tuner.inertias(), same.inertias());
  EXPECT_NE(tuner.inertias(), other.inertias());
}

}  // namespace
}  // namespace swarmsync
