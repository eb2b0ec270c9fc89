#include "swarmsync/swarm/options.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/errors.h"

namespace swarmsync {
namespace {

using testing::MessageOf;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

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

TEST(PsoOptions, DefaultsAreInRange) { EXPECT_NO_THROW(Validate(PsoOptions())); }

TEST(PsoOptions, NamesAreThoseOfTheCommandLine) {
  EXPECT_EQ(AllNames<Velocity>(), (std::vector<std::string>{"swarm", "total"}));
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
