#include "swarmsync/swarm/options.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/errors.h"
#include "support/not_numbers.h"

namespace swarmsync {
namespace {

using testing::kInfinity;
using testing::kNan;

using testing::MessageOf;

struct Range {
  const char* name;
  void (*set)(PsoOptions&, double);
  std::vector<double> allowed, refused;
};

class RangeTest : public ::testing::TestWithParam<Range> {};

INSTANTIATE_TEST_SUITE_P(
    Options, RangeTest,
    ::testing::Values(
        Range{"inertia",
              [](PsoOptions& o, double x) { o.inertia = x; },
              {0, -0.0, 0.5, 0.999},
              {-0.001, 1, 1.5}},
        Range{"cognitive", [](PsoOptions& o, double x) { o.cognitive = x; }, {0, 0.5, 4}, {-0.001, 4.001}},
        Range{"social", [](PsoOptions& o, double x) { o.social = x; }, {0, 0.5, 4}, {-0.001, 4.001}},
        Range{"beta", [](PsoOptions& o, double x) { o.beta = x; }, {0, 1, 1e6}, {-0.001, 2e6}},
        Range{"memory-decay",
              [](PsoOptions& o, double x) { o.memory_decay = x; },
              {0, 0.5, 1},
              {-0.001, 1.001}}),
    [](const auto& info) {
      return info.param.name == std::string("memory-decay") ? "decay" : info.param.name;
    });

TEST_P(RangeTest, ValuesInsideAreTaken) {
  for (const double value : GetParam().allowed) {
    PsoOptions options;
    GetParam().set(options, value);
    EXPECT_NO_THROW(Validate(options)) << value;
  }
}

TEST_P(RangeTest, ValuesOutsideAreUsageErrorsThatNameTheOption) {
  std::vector<double> refused = GetParam().refused;
  refused.insert(refused.end(), {kNan, kInfinity, -kInfinity});
  for (const double value : refused) {
    PsoOptions options;
    GetParam().set(options, value);
    const std::string message = MessageOf<UsageError>([&] { Validate(options); });
    EXPECT_EQ(message.rfind(GetParam().name + std::string(" is "), 0), 0u) << message;
    EXPECT_NE(message.find("it must be"), std::string::npos) << message;
  }
}

TEST(PsoOptions, TheMessageShowsTheValueAndTheRange) {
  PsoOptions options;
  options.inertia = 1.25;
  EXPECT_EQ(MessageOf<UsageError>([&] { Validate(options); }),
            "inertia is 1.25; it must be at least 0 and below 1");
}

TEST(Inertia, IsANumberOrTwoOrAuto) {
  EXPECT_EQ(ParseInertia("0.7"), Inertia(0.7));
  EXPECT_FALSE(ParseInertia("0.7").changes());
  const Inertia falling = ParseInertia("0.9:0.5");
  EXPECT_TRUE(falling.changes());
  EXPECT_EQ(falling.at(0), 0.9);
  EXPECT_NEAR(falling.at(0.25), 0.8, 1e-12);
  EXPECT_NEAR(falling.at(1), 0.5, 1e-12);
  EXPECT_TRUE(ParseInertia("auto").adapts());
  for (const char* text : {"0.7", "0.9:0.5", "auto"}) EXPECT_EQ(ToString(ParseInertia(text)), text);
  EXPECT_EQ(ToString(ParseInertia("0.5:0.5")), "0.5");
  for (const char* text : {"", ":", "0.9:", ":0.5", "0.9:0.5:0.1", "0.9-0.5", "much"}) {
    EXPECT_NE(MessageOf<UsageError>([&] { ParseInertia(text); }).find("FROM:TO"), std::string::npos) << text;
  }
}

TEST(Inertia, IsInRangeAtBothEnds) {
  for (const Inertia& inertia : {Inertia(1, 0.5), Inertia(0.5, 1)}) {
    PsoOptions options;
    options.inertia = inertia;
    EXPECT_EQ(MessageOf<UsageError>([&] { Validate(options); }),
              "inertia is 1; it must be at least 0 and below 1");
  }
}

TEST(PsoOptions, ARandomGuideHasNothingToRemember) {
  PsoOptions options;
  options.guide = Guide::kRandom;
  EXPECT_NO_THROW(Validate(options));
  options.memory = Memory::kDecay;
  EXPECT_NE(MessageOf<UsageError>([&] { Validate(options); }).find("memory is decay"), std::string::npos);
}

TEST(PsoOptions, DefaultsAreInRange) { EXPECT_NO_THROW(Validate(PsoOptions())); }

TEST(PsoOptions, NamesAreThoseOfTheCommandLine) {
  EXPECT_EQ(AllNames<Velocity>(), (std::vector<std::string>{"swarm", "total", "nesterov"}));
  EXPECT_EQ(AllNames<RandomScope>(), (std::vector<std::string>{"none", "round", "tensor", "element"}));
  EXPECT_EQ(AllNames<Memory>(), (std::vector<std::string>{"historic", "current", "decay"}));
  EXPECT_EQ(AllNames<Fitness>(), (std::vector<std::string>{"train-loss", "probe"}));
  EXPECT_EQ(ParseEnum<Velocity>("total"), Velocity::kTotal);
  EXPECT_EQ(ParseEnum<RandomScope>("element"), RandomScope::kElement);
  EXPECT_EQ(ParseEnum<Memory>("decay"), Memory::kDecay);
  EXPECT_EQ(ParseEnum<Fitness>("train-loss"), Fitness::kTrainLoss);
  EXPECT_NE(MessageOf<UsageError>([] { ParseEnum<Memory>("historical"); }).find("did you mean 'historic'?"),
            std::string::npos);
}

}  // namespace
}  // namespace swarmsync
