// Whole comparisons with the tool.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "cli/tool.h"

namespace swarmsync::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;
namespace fs = std::filesystem;

class CompareTest : public ToolTest {
 protected:
  Arguments Compare(const Arguments& flags = {}) const {
    return Arguments{"compare",          DataFlag(),
                     "--model=mlp",      "--batch-size=10",
                     "--epochs=1",       "--workers=2",
                     "--period=3",       "--threads-per-worker=1",
                     "--validation=20",  "--seeds=1,2",
                     "--tuning-seeds=7", "--sync=average,pso-ps",
                     "--lr=0.02,0.05",   "--out=" + Path("cmp").string()} +
           flags;
  }
  // How many there are, also while one is being written.
  std::ptrdiff_t RunsMade() const {
    const fs::path runs = Path("cmp") / "runs.jsonl";
    if (!fs::exists(runs)) return 0;
    const std::string text = ReadFile(runs);
    return std::count(text.begin(), text.end(), '\n');
  }

  // The processes that train for the comparison.
  std::vector<pid_t> TrainingProcesses() const {
    std::vector<pid_t> pids;
    const std::string out = "--out=" + (Path("cmp") / "running").string();
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const std::string name = entry.path().filename();
      if (!std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isdigit(c); })) continue;
      if (ReadProcFile("/proc/" + name + "/cmdline").find(out) != std::string::npos)
        pids.push_back(std::stoi(name));
    }
    return pids;
  }

  std::vector<Json> Runs() const { return ReadJsonLines(Path("cmp") / "runs.jsonl"); }
};

TEST_F(CompareTest, TunesRunsTheFinalSeedsAndWritesItsTables) {
  const ToolResult result = RunWell(Compare());
  const std::vector<Json> runs = Runs();
  ASSERT_EQ(runs.size(), 2u * (2 + 2));
  for (const Json& run : runs) {
    EXPECT_EQ(run.at("status"), "done");
    const bool tune = run.at("stage") == "tune";
    EXPECT_EQ(run.at("flags").at("seed") == "7", tune);
    EXPECT_EQ(run.at("flags").contains("validation"), tune);
    EXPECT_EQ(run.at("result").contains("validation_accuracy"), tune);
    EXPECT_EQ(run.contains("exchanges"), !tune);
    EXPECT_EQ(run.dump().find("\"test") == std::string::npos, tune) << "the test set chooses nothing";
  }
  for (const char* file : {"summary.csv", "summary.md", "report.html"}) {
    EXPECT_THAT(ReadFile(Path("cmp") / file), AllOf(HasSubstr("average"), HasSubstr("pso-ps"))) << file;
  }
  EXPECT_THAT(result.out, AllOf(HasSubstr("8 runs to make"), HasSubstr("test accuracy %"), HasSubstr(" ± ")));
  EXPECT_FALSE(fs::exists(Path("cmp") / "running"));
  ExpectNothingTemporaryLeft();

  // Again: nothing is left to do.
  const std::string before = ReadFile(Path("cmp") / "runs.jsonl");
  EXPECT_THAT(RunWell(Compare()).out, HasSubstr("0 runs to make"));
  EXPECT_EQ(ReadFile(Path("cmp") / "runs.jsonl"), before);

  // Nor to hold them against another one.
  EXPECT_THAT(ReadFile(Path("cmp") / "summary.md"), HasSubstr("above average"));
  EXPECT_THAT(RunWell(Compare({"--baseline=pso-ps"})).out,
              AllOf(HasSubstr("0 runs to make"), HasSubstr("above pso-ps")));
  EXPECT_EQ(ReadFile(Path("cmp") / "runs.jsonl"), before);

  // One seed more: two runs more.
  EXPECT_THAT(RunWell(Compare({"--seeds=1,2,3"})).out, HasSubstr("2 runs to make"));
  EXPECT_EQ(Runs().size(), 10u);
}

TEST_F(CompareTest, GoesOnWhereItWasStopped) {
  for (const auto& [signal, jobs] : std::vector<std::pair<int, const char*>>{
           {SIGINT, "--jobs=1"}, {SIGTERM, "--jobs=3"}, {SIGKILL, "--jobs=3"}}) {
    Tool tool(Compare({"--epochs=20", jobs}), Environment());
    const std::ptrdiff_t before = RunsMade();
    EXPECT_TRUE(WaitUntil([&] { return RunsMade() > before; }));
    tool.Signal(signal);
    const ToolResult& result = tool.Wait();
    if (signal == SIGKILL) {
      EXPECT_EQ(result.signal, SIGKILL);
      EXPECT_TRUE(WaitUntil([&] { return TrainingProcesses().empty(); })) << "its run is left behind";
    } else {
      EXPECT_EQ(result.exit_code, 128 + signal) << result.err;
      EXPECT_FALSE(fs::exists(Path("cmp") / "running"));
    }
  }
  RunWell(Compare({"--epochs=20"}));
  const std::vector<Json> runs = Runs();
  std::set<std::string> different;
  for (const Json& run : runs) {
    EXPECT_EQ(run.at("status"), "done") << "an interrupted run is no failed run";
    different.insert(run.at("flags").dump());
  }
  EXPECT_EQ(different.size(), runs.size()) << "a finished run was made again";
  EXPECT_EQ(runs.size(), 8u);
}

TEST_F(CompareTest, SeveralRunsAtATimeGiveWhatOneAfterAnotherGives) {
  const auto accuracies = [&](const char* jobs) {
    RunWell(Compare({jobs}));
    std::map<std::string, double> found;
    for (const Json& run : Runs()) {
      const char* accuracy = run.at("stage") == "tune" ? "validation_accuracy" : "test_accuracy";
      found[run.at("flags").dump()] = run.at("result").at(accuracy);
    }
    EXPECT_FALSE(fs::exists(Path("cmp") / "running"));
    fs::remove_all(Path("cmp"));
    return found;
  };
  const auto several = accuracies("--jobs=5");
  EXPECT_EQ(several.size(), 8u);
  EXPECT_EQ(several, accuracies("--jobs=1"));
}

TEST_F(CompareTest, AFailingRunDoesNotLoseTheRest) {
  const ToolResult result = RunWell(Compare({"--lr=0.05,1e30", "--sync=average"}));
  const std::vector<Json> runs = Runs();
  ASSERT_EQ(runs.size(), 4u);
  EXPECT_EQ(runs[1].at("status"), "failed");
  EXPECT_THAT(runs[1].at("message").get<std::string>(), HasSubstr("diverged"));
  EXPECT_THAT(result.out, AllOf(HasSubstr("failed: "), HasSubstr("lr 0.05")));
  EXPECT_EQ(runs[3].at("flags").at("lr"), "0.05");

  EXPECT_THAT(RunWell(Compare({"--lr=0.05,1e30", "--sync=average"})).out, HasSubstr("0 runs to make"));
  EXPECT_THAT(RunWell(Compare({"--lr=0.05,1e30", "--sync=average", "--retry-failed"})).out,
              HasSubstr("diverged"));
}

TEST_F(CompareTest, ARunThatWasKilledSaysByWhichSignal) {
  Run(Compare({"--lr=0.05", "--sync=average", "--seeds=1", "--backend=threads"}),
      {{"SWARMSYNC_FAULTS", "1:kill@3"}});
  const std::vector<Json> runs = Runs();
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].at("status"), "failed");
  EXPECT_THAT(runs[0].at("message").get<std::string>(),
              AllOf(HasSubstr("stopped by signal 9 (Killed); it said last: "), HasSubstr("kill")));
}

TEST_F(CompareTest, BadInputIsFoundBeforeTheFirstRun) {
  const auto refused = [&](const Arguments& flags, const std::vector<std::string>& parts) {
    ExpectOneLine(Run(Compare(flags)), 2, parts);
    EXPECT_FALSE(fs::exists(Path("cmp"))) << flags.back();
  };
  refused({"--lr=0.1,x"}, {"--lr", "x"});
  refused({"--lr=0.1,,0.2"}, {"--lr", "a value is missing"});
  refused({"--lr=0.1,0.1"}, {"--lr", "0.1 is there twice"});
  refused({"--sync=average,psops"}, {"psops", "did you mean 'pso-ps'?"});
  refused({"--period=pso-ps:1,2"}, {"--period", "a list for all synchronizers"});
  refused({"--period=4,0"}, {"--period", "'0'", "at least 1"});
  refused({"--inertia=0.5,1.5"}, {"--inertia", "1.5", "below 1"});
  refused({"--finalists=3"}, {"--finalists is 3", "--tuning-seeds", "two seeds"});
  refused({"--sync=ssgd,average", "--momentum-at-sync=reset"}, {"--momentum-at-sync", "ssgd"});
  refused({"--baseline=slowmo"}, {"--baseline is 'slowmo'", "--sync"});
  refused({"--jobs=0"}, {"--jobs"});
  refused({"--budget=time"}, {"budget", "'time'"});
  refused({"--budget=samples"}, {"--samples"});
  refused({"--samples=100"}, {"--budget samples"});
  refused({"--budget=bytes", "--sync=ssgd"}, {"ssgd", "leave it out"});
  refused({"--batch-size=1000"}, {"batch"});
  refused({"--device=cuda"}, {"--device is cuda", "no GPU"});
}

TEST_F(CompareTest, AStrangersDirectoryIsRefused) {
  fs::create_directory(Path("cmp"));
  WriteFileAtomically(Path("cmp") / "precious", "text");
  ExpectOneLine(Run(Compare()), 2, {"--out", "is not empty", "runs.jsonl"});
  EXPECT_EQ(ReadFile(Path("cmp") / "precious"), "text");
}

TEST_F(CompareTest, ABudgetOfBytesHalvesThePeriodOfWhoSendsHalf) {
  RunWell(Compare({"--budget=bytes", "--lr=0.05", "--period=4", "--epochs=2"}));
  std::map<std::string, double> bytes;
  for (const Json& run : Runs()) {
    bytes[run.at("flags").at("sync")] = run.at("result").at("bytes_sent_per_worker");
    EXPECT_EQ(run.at("flags").at("period"), run.at("flags").at("sync") == "pso-ps" ? "2" : "4");
  }
  EXPECT_NEAR(bytes["pso-ps"] / bytes["average"], 1, 0.15);
}

}  // namespace
}  // namespace swarmsync::testing
