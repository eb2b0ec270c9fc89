#include "swarmsync/sync/round_ends.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "support/errors.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MessageOf;

TEST(RoundEnds, WithoutLeewayEveryRoundIsAPeriodLongAndTheLastIsShorter) {
  const auto any = [](std::int64_t step) { return static_cast<double>(step); };
  EXPECT_THAT(SpreadRounds({0, 12, 4, 4, 4}, any), ElementsAre(4, 8, 12));
  EXPECT_THAT(SpreadRounds({2, 12, 4, 4, 4}, any), ElementsAre(6, 10, 12));
  EXPECT_THAT(SpreadRounds({0, 3, 4, 4, 4}, any), ElementsAre(3));
}

TEST(RoundEnds, StepsOfDoubleDensityAreDoubleParts) {
  // Four rounds in twelve steps, of which the first six count twice: c is 2/9, so their parts are 4/9 and
  // 2/9.
  const auto falls = [](std::int64_t step) { return step <= 6 ? 2.0 : 1.0; };
  EXPECT_THAT(SpreadRounds({0, 12, 3, 1, 12}, falls), ElementsAre(3, 5, 8, 12));
  const auto tenth = [&](std::int64_t step) { return falls(step) / 10; };
  EXPECT_THAT(SpreadRounds({0, 12, 3, 1, 12}, tenth), ElementsAre(3, 5, 8, 12))
      << "the scale does not matter";
}

TEST(RoundEnds, KeepsToTheLimits) {
  const auto cliff = [](std::int64_t step) { return step <= 8 ? 1.0 : 1e-9; };
  // Four rounds. Behind the cliff a step is 1/16 of one, which leaves two and a half for the eight before it.
  EXPECT_THAT(SpreadRounds({0, 32, 8, 1, 16}, cliff), ElementsAre(4, 7, 16, 32));
  // Those eight may be two, and the others share what is left.
  EXPECT_THAT(SpreadRounds({0, 32, 8, 4, 16}, cliff), ElementsAre(4, 8, 20, 32));
}

TEST(RoundEnds, RefusesLimitsThatContradictEachOther) {
  for (const RoundSpread& wrong :
       {RoundSpread{0, 0, 4, 1, 16}, RoundSpread{-1, 9, 4, 1, 16}, RoundSpread{0, 9, 4, 5, 16},
        RoundSpread{0, 9, 4, 1, 3}, RoundSpread{0, 9, 4, 0, 16}}) {
    EXPECT_THAT(MessageOf<UsageError>([&] { SpreadRounds(wrong, [](std::int64_t) { return 1.0; }); }),
                AllOf(HasSubstr("4 on average"), HasSubstr("give a last step")));
  }
}

RC_GTEST_PROP(RoundEndsLaws, AreAsManyAsOfThePeriodAscendAndKeepToTheLimits, ()) {
  RoundSpread spread;
  spread.first = *rc::gen::inRange<std::int64_t>(0, 50);
  spread.last = spread.first + *rc::gen::inRange<std::int64_t>(1, 2000);
  spread.period = *rc::gen::inRange<std::int64_t>(1, 70);
  spread.shortest = *rc::gen::inRange<std::int64_t>(1, spread.period + 1);
  spread.longest = spread.period * *rc::gen::inRange<std::int64_t>(1, 6);
  const double power = *rc::gen::inRange(0, 30) / 10.0;
  const auto steps = static_cast<double>(spread.last - spread.first);
  const auto ends = SpreadRounds(spread, [&](std::int64_t step) {
    return std::pow(1.001 + std::cos(3.14 * static_cast<double>(step - spread.first) / steps), power);
  });
  const auto rounds =
      static_cast<std::size_t>((spread.last - spread.first + spread.period - 1) / spread.period);
  RC_ASSERT(ends.size() == rounds);
  RC_ASSERT(ends.back() == spread.last);
  std::int64_t begin = spread.first;
  for (const std::int64_t end : ends) {
    RC_ASSERT(end > begin);
    RC_ASSERT(end - begin >= spread.shortest || end == spread.last);
    RC_ASSERT(end - begin <= spread.longest + 1);
    begin = end;
  }
}

}  // namespace
}  // namespace swarmsync
