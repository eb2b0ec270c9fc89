#include "swarmsync/train/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/errors.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::MessageOf;

double Factor(const std::string& schedule, double seen, double warmup = 0) {
  return LearningRateFactor(ParseSchedule(schedule), warmup, seen, 0.25, 10);
}

TEST(ScheduleTest, TextGoesThereAndBack) {
  for (const char* text : {"constant", "cosine", "step:30,60", "step:0.5@0.2", "step:3,6.5,8@0.5"}) {
    EXPECT_EQ(ToString(ParseSchedule(text)), text);
  }
  EXPECT_EQ(ToString(ParseSchedule("step:30@0.1")), "step:30");
}

TEST(ScheduleTest, RefusesOtherText) {
  const auto message = [](const char* text) { return MessageOf<UsageError>([&] { ParseSchedule(text); }); };
  EXPECT_THAT(message("cosin"), AllOf(HasSubstr("'cosin'"), HasSubstr("did you mean 'cosine'")));
  EXPECT_THAT(message("step:"), HasSubstr("step:E1,E2"));
  EXPECT_THAT(message("step:3,,5"), HasSubstr("'step:3,,5'"));
  EXPECT_THAT(message("step:3,x"), HasSubstr("'x'"));
  EXPECT_THAT(message("step:-1"), HasSubstr("'-1'"));
  EXPECT_THAT(message("step:6,3"), HasSubstr("do not ascend"));
  EXPECT_THAT(message("step:3@"), HasSubstr("''"));
  EXPECT_THAT(message("step:3@0"), HasSubstr("'0'"));
}

TEST(ScheduleTest, ConstantStays) {
  EXPECT_EQ(Factor("constant", 0), 1);
  EXPECT_EQ(Factor("constant", 9.75), 1);
}

TEST(ScheduleTest, CosineFallsFromOneToZero) {
  EXPECT_DOUBLE_EQ(Factor("cosine", 0), 1);
  EXPECT_NEAR(Factor("cosine", 5), 0.5, 1e-12);
  EXPECT_NEAR(Factor("cosine", 2.5), (1 + std::sqrt(0.5)) / 2, 1e-12);
  EXPECT_NEAR(Factor("cosine", 10), 0, 1e-12);
}

TEST(ScheduleTest, StepsMultiply) {
  EXPECT_DOUBLE_EQ(Factor("step:3,6", 2.99), 1);
  EXPECT_DOUBLE_EQ(Factor("step:3,6", 3), 0.1);
  EXPECT_DOUBLE_EQ(Factor("step:3,6", 30 * (1 / 10.0)), 0.1) << "a quotient that rounds down";
  EXPECT_NEAR(Factor("step:3,6@0.2", 7), 0.04, 1e-12);
}

TEST(ScheduleTest, AStepBeginsWithThePassesBeforeIt) {
  const Schedule cosine = ParseSchedule("cosine");
  const auto factor = [&](std::int64_t step, double warmup = 0) {
    return LearningRateFactorOfStep(cosine, warmup, step, /*steps_per_epoch=*/8, /*total_steps=*/80);
  };
  EXPECT_DOUBLE_EQ(factor(1), 1);
  EXPECT_NEAR(factor(41), 0.5, 1e-12);
  EXPECT_NEAR(factor(81), 0, 1e-12);
  EXPECT_DOUBLE_EQ(factor(1, /*warmup=*/0.5), 0.25);
}

TEST(ScheduleTest, TheWarmUpRisesEvenlyAndTheFirstStepMoves) {
  EXPECT_DOUBLE_EQ(Factor("constant", 0, 2), 0.125);
  EXPECT_DOUBLE_EQ(Factor("constant", 1, 2), 0.625);
  EXPECT_DOUBLE_EQ(Factor("constant", 1.75, 2), 1);
  EXPECT_DOUBLE_EQ(Factor("constant", 5, 2), 1);
  EXPECT_NEAR(Factor("cosine", 1, 2), 0.625 * Factor("cosine", 1), 1e-12);
}

}  // namespace
}  // namespace swarmsync
