#include "cli/tool.h"

namespace swarmsync {
namespace {

using Json = nlohmann::json;
using testing::Arguments;
using ::testing::HasSubstr;
using testing::RunTool;
using testing::operator+;

Json Bench(const Arguments& arguments) {
  const auto result = RunTool(Arguments{"bench"} + arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return Json::parse(result.out);
}

TEST(Bench, ExchangesOfEveryKindAreTimedAndVerified) {
  for (const char* backend : {"processes", "threads"}) {
    for (const char* sync : {"pso-ps", "average", "ssgd"}) {
      const Json result = Bench({"exchange", "--sync", sync, "--workers=3", "--parameters=10007",
                                 "--repetitions=4", std::string("--backend=") + backend});
      EXPECT_EQ(result.at("sync"), sync);
      EXPECT_EQ(result.at("workers"), 3);
      EXPECT_GT(result.at("milliseconds").at("median"), 0);
      EXPECT_LE(result.at("error"), 1e-6);
      EXPECT_GT(result.at("bytes_sent_per_worker"), 10007 * 2);
    }
  }
}

TEST(Bench, GroupsAreVerifiedAndTheirLeadersCounted) {
  for (const char* backend : {"processes", "threads"}) {
    for (const char* sync : {"informed-pso-ps", "ssgd"}) {
      const Json result =
          Bench({"exchange", "--sync", sync, "--workers=4", "--group-size=2", "--parameters=10000",
                 "--repetitions=2", std::string("--backend=") + backend});
      EXPECT_LE(result.at("error"), 1e-6);
      EXPECT_EQ(result.at("group_size"), 2);
      // Two leaders of four workers, there and back, and some numbers.
      EXPECT_NEAR(result.at("bytes_between_groups_per_worker"), 2 * 4 * 10000 / 4, 200);
      EXPECT_GE(result.at("all_reduces"), 2) << "of the members and of the leaders";
      EXPECT_GT(result.at("bytes_sent_per_worker"), 4 * 10000);
    }
  }
}

TEST(Bench, AnEmulatedLinkIsInTheTime) {
  const Json result = Bench({"exchange", "--sync=average", "--workers=2", "--parameters=100",
                             "--repetitions=2", "--backend=threads", "--link=1gbit,30ms"});
  EXPECT_GE(result.at("milliseconds").at("least"), 60);
}

TEST(Bench, UpdatesAreHeldAgainstTheEquations) {
  const Json result = Bench({"update", "--parameters=100003", "--repetitions=2"});
  ASSERT_EQ(result.at("cases").size(), 12u);
  for (const Json& one : result.at("cases")) {
    EXPECT_GT(one.at("times_as_fast_as_composed"), 0);
    EXPECT_LT(one.at("error"), 1e-5);
  }
}

TEST(Bench, BadInputIsALine) {
  const auto refused = [](const Arguments& arguments) {
    const auto result = RunTool(Arguments{"bench"} + arguments);
    EXPECT_EQ(result.exit_code, 2);
    return result.err;
  };
  EXPECT_THAT(refused({}), HasSubstr("swarmsync bench --help"));
  EXPECT_THAT(refused({"exchange", "--parameters=0"}), HasSubstr("--parameters is 0; it must be at least 1"));
  EXPECT_THAT(refused({"exchange", "--sync=nobody"}), HasSubstr("'nobody'"));
  EXPECT_THAT(refused({"update", "--threads=0"}), HasSubstr("--threads"));
}

}  // namespace
}  // namespace swarmsync
