// What --dry-run says, against what the same command does.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "cli/program.h"
#include "support/test_name.h"

namespace swarmsync::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct Sent {
  double least = -1, most = -1;
};

Sent SentIn(const std::string& plan) {
  std::smatch match;
  const std::regex sent("\nsent +([0-9]+) bytes \\([^)]*\\)(?: to ([0-9]+) bytes)?");
  if (!std::regex_search(plan, match, sent)) return {};
  const double least = std::stod(match[1]);
  return {least, match[2].matched ? std::stod(match[2]) : least};
}

class DryRunTest : public ToolTest, public ::testing::WithParamInterface<Arguments> {
 protected:
  std::string Plan(const Arguments& command) const {
    const ToolResult result = RunWell(command + Arguments{"--dry-run"});
    EXPECT_FALSE(std::filesystem::exists(Path("run")));
    EXPECT_FALSE(std::filesystem::exists(Path("home")));
    ExpectNothingTemporaryLeft();
    return result.out;
  }
};

// Seven steps in an epoch of 20, so that the last round is not a whole one.
const Arguments kShort{"--steps=17", "--workers=4", "--batch-size=5", "--period=5", "--backend=threads"};

const std::vector<Arguments> kRuns{
    {"--sync=ssgd"},
    {"--sync=ssgd", "--wire=int8"},
    {"--sync=ssgd", "--bucket-mb=0.05"},
    {"--sync=average"},
    {"--sync=average", "--wire=bf16", "--backend=processes"},
    {"--sync=average", "--sync-warmup-steps=6", "--overlap=2"},
    {"--sync=average", "--group-size=2", "--group-period=2"},
    {"--sync=average", "--period=3", "--period-by-lr=2", "--schedule=cosine"},
    {"--sync=average", "--group-size=2", "--group-period=2", "--period-by-lr=1", "--schedule=step:0.5,1"},
    {"--sync=average", "--group-size=4"},
    {"--sync=ssgd", "--group-size=2"},
    {"--sync=easgd", "--workers=3"},
    {"--sync=slowmo", "--momentum=0.9", "--momentum-at-sync=average"},
    {"--sync=diloco", "--momentum=0.9", "--momentum-at-sync=average", "--overlap=5"},
    {"--sync=informed-pso-ps", "--guard"},
    {"--sync=informed-pso-ps", "--wire=int8", "--group-size=2"},
    {"--sync=leader", "--optimizer=adamw", "--lr=0.001", "--momentum-at-sync=average"},
    {"--sync=leader", "--wire=int8"},
    {"--sync=average", "--model=resnet8", "--steps=7"},
    {"--sync=average", "--model=resnet8", "--steps=7", "--group-size=2", "--backend=processes"},
    {"--sync=average", "--workers=1"},
    {"--sync=pso-ps"},
    {"--sync=pso-ps", "--memory=historic"},
    {"--sync=pso-ps", "--memory=decay", "--cognitive=0.1", "--wire=bf16"},
    {"--sync=pso-ps", "--model=resnet8", "--buffers=guide", "--steps=7"},
    {"--sync=pso-ps", "--memory=historic", "--group-size=2"},
};
INSTANTIATE_TEST_SUITE_P(Runs, DryRunTest, ::testing::ValuesIn(kRuns), [](const auto& info) {
  std::string name = std::to_string(info.index);
  for (const std::string& flag : info.param) name += "_" + flag;
  return TestName(name);
});

TEST_P(DryRunTest, TheBytesAreThoseOfTheRun) {
  const Arguments flags = Train("run", kShort + GetParam());
  Arguments command = flags;
  command.erase(std::find(command.begin(), command.end(), "--epochs=2"));
  const std::string plan = Plan(command);
  const Sent planned = SentIn(plan);
  RunWell(command);
  const auto summary = ReadJson(Path("run/summary.json"));
  const double sent = summary.at("bytes_sent_per_worker");
  const bool depends_on_guide =
      GetParam().size() > 1 && (GetParam()[1] == "--memory=historic" || GetParam()[1] == "--memory=decay");
  EXPECT_EQ(plan.find("new guide") != std::string::npos, depends_on_guide) << plan;
  EXPECT_GE(sent, planned.least - 1) << plan;
  EXPECT_LE(sent, planned.most + 1) << plan;
  EXPECT_EQ(planned.least < planned.most, depends_on_guide);
  EXPECT_THAT(plan, HasSubstr(fmt::format("{} steps of 5 samples", summary.at("steps").get<int>())));
}

using PlanTest = DryRunTest;

TEST_F(PlanTest, TellsWorkersShardsStepsAndMemory) {
  const std::string plan = Plan(Train("run", {"--validation=20", "--momentum=0.9", "--sync=average"}));
  EXPECT_THAT(plan, AllOf(HasSubstr("2 processes on cpu, 1 CPU thread each"),
                          HasSubstr("180 training samples, 90 a worker; 20 held out; 50 for the test"),
                          HasSubstr("18 steps of 10 samples a worker, 9 to an epoch: 2 epochs"),
                          HasSubstr("6 rounds of 3 steps at most"), HasSubstr("weights, gradients, buffers"),
                          HasSubstr("the optimizer's state"), HasSubstr("forward and backward"),
                          HasSubstr("or an evaluation"), HasSubstr("what arrives of a sum"),
                          HasSubstr("the program and its libraries")));
  EXPECT_THAT(Plan(Train("run", {"--backend=threads"})),
              AllOf(HasSubstr("2 threads on cpu"), Not(HasSubstr("the optimizer's state")),
                    Not(HasSubstr("what arrives"))));
  EXPECT_THAT(Plan(Train("run", {"--period-by-lr=1", "--schedule=cosine"})),
              HasSubstr("7 rounds of 3 steps on average"));
}

TEST_F(PlanTest, RefusesWhatTheRunWould) {
  const auto expect_same = [&](const Arguments& command) {
    const ToolResult real = Run(command), dry = Run(command + Arguments{"--dry-run"});
    EXPECT_NE(real.exit_code, 0);
    EXPECT_EQ(dry.exit_code, real.exit_code);
    EXPECT_EQ(ErrorLines(dry.err), ErrorLines(real.err));
    EXPECT_EQ(dry.out, "");
  };
  expect_same(Train("run", {"--batch-size=101"}));
  expect_same(Train("run", {"--model=lenet6"}));
  expect_same(Train("run", {"--dataset=idx:" + Path("none").string()}));
  expect_same(Train("run", {"--dataset=mnist"}));  // which is not there
  expect_same(Train("run", {"--group-size=3"}));
  expect_same(Train("data"));  // not empty
  EXPECT_FALSE(std::filesystem::exists(Path("run")));
}

TEST_F(PlanTest, OfAComparisonCountsItsRuns) {
  const Arguments compare{"compare",
                          "--sync=average,pso-ps",
                          "--period=2",
                          DataFlag(),
                          "--lr=0.1,0.2,0.3",
                          "--model=mlp",
                          "--batch-size=10",
                          "--validation=20",
                          "--seeds=1,2",
                          "--dry-run",
                          "--out=" + Path("cmp").string()};
  const ToolResult result = RunWell(compare);
  EXPECT_THAT(result.out, HasSubstr("pso-ps period 2: 3 tuning runs to make, 2 sure to follow"));
  EXPECT_THAT(result.out, HasSubstr("10 runs to make"));
  EXPECT_FALSE(std::filesystem::exists(Path("cmp")));
}

}  // namespace
}  // namespace swarmsync::testing
