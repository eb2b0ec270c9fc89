// Runs whose workers are lost and that go on.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "cli/tool.h"
#include "support/test_name.h"

namespace swarmsync::testing {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
namespace fs = std::filesystem;
using Json = nlohmann::json;

class SurvivalTest : public ToolTest {
 protected:
  // Takes some seconds with three workers.
  Arguments Long(const std::string& out, const Arguments& flags = {}) const {
    return TrainForLong(out,
                        Arguments{"--workers=3", "--steps=4000", "--timeout=30", "--log-every=20"} + flags);
  }

  // The events of the membership up to now.
  std::vector<Json> Events(const std::string& out) const {
    std::vector<Json> events;
    std::error_code none;
    if (!fs::exists(Path(out) / "metrics.jsonl", none)) return events;
    std::istringstream lines(ReadFile(Path(out) / "metrics.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      if (line.find("\"membership\"") != std::string::npos && line.back() == '}')
        events.push_back(Json::parse(line));
    }
    return events;
  }
  void AwaitGeneration(Tool& tool, const std::string& out, int generation) const {
    EXPECT_TRUE(WaitUntil([&] {
      const auto events = Events(out);
      return !tool.running() || (!events.empty() && events.back().at("generation") >= generation);
    }));
  }
  // The pid of a rank now.
  pid_t PidOf(const std::string& out, int rank) const {
    return ReadJson(Path(out) / "workers.json").at(static_cast<std::size_t>(rank)).at("pid");
  }

  std::string LastCheckpoint(const std::string& out) const {
    std::string last;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(Path(out) / "checkpoint", none))
      last = std::max(last, entry.path().filename().string());
    return last;
  }

  void ExpectWhole(const std::string& out, int workers, int events) const {
    const Json summary = ReadJson(Path(out) / "summary.json");
    EXPECT_EQ(summary.at("workers"), workers);
    EXPECT_EQ(summary.at("membership_events").size(), static_cast<std::size_t>(events))
        << summary.at("membership_events");
    EXPECT_EQ(Events(out).size(), static_cast<std::size_t>(events));
    for (const Json& event : Events(out)) {
      EXPECT_GE(event.at("epoch"), 0) << event;
      EXPECT_LE(event.at("epoch"), summary.at("epochs")) << event;
      EXPECT_LE(event.at("round"), summary.at("rounds")) << event;
    }
    EXPECT_EQ(ReadJson(Path(out) / "workers.json").size(), static_cast<std::size_t>(workers));
    EXPECT_GT(summary.at("test_accuracy"), 0.5);
    EXPECT_THAT(ReadFile(Path(out) / "report.html"),
                HasSubstr(fmt::format("\"membership\":{{\"count\":{}", events)));
    EXPECT_EQ(StrangeFiles(out).size(), 0u);
    ExpectNothingTemporaryLeft();
  }
};

class SurvivalEverySyncTest : public SurvivalTest, public ::testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(Names, SurvivalEverySyncTest,
                         ::testing::Values("ssgd", "average", "pso-ps", "informed-pso-ps", "easgd", "slowmo",
                                           "diloco", "leader"),
                         [](const auto& info) { return TestName(info.param); });

TEST_P(SurvivalEverySyncTest, AKilledWorkerIsRestartedAndJoins) {
  Tool tool(Long("run", {"--sync=" + GetParam(), "--check-replicas=1"}), Environment());
  std::vector<pid_t> pids = AwaitWorkers(tool, "run");
  ASSERT_EQ(pids.size(), 3u);
  const double killed = MonotonicSeconds();
  kill(pids[1], SIGKILL);
  AwaitGeneration(tool, "run", 2);
  EXPECT_LT(MonotonicSeconds() - killed, 20)
      << "a broken connection is seen at once, not after the timeout of 30 s";
  AwaitGeneration(tool, "run", 3);
  const pid_t joined = PidOf("run", 1);
  EXPECT_NE(joined, pids[1]);
  pids.push_back(joined);
  EXPECT_EQ(tool.Wait().exit_code, 0) << tool.Wait().err;
  ExpectAllGone(pids);
  ExpectWhole("run", 3, 2);
  const std::vector<Json> events = Events("run");
  EXPECT_EQ(events[0].at("workers"), 2);
  EXPECT_THAT(events[0].at("reason").get<std::string>(),
              AllOf(HasSubstr("worker 1"), HasSubstr(std::to_string(pids[1])), HasSubstr("signal 9")));
  EXPECT_EQ(events[1].at("workers"), 3);
  EXPECT_EQ(events[1].at("reason"), "worker 1 joins");
}

TEST_F(SurvivalTest, TheFirstRankMayBeLostToo) {
  Tool tool(Long("run", {"--max-restarts=0", "--progress=plain"}), Environment());
  const std::vector<pid_t> pids = AwaitWorkers(tool, "run");
  ASSERT_EQ(pids.size(), 3u);
  kill(pids[0], SIGKILL);
  const ToolResult& result = tool.Wait();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("2 workers go on from step"));
  ExpectWhole("run", 2, 1);
  EXPECT_EQ(PidOf("run", 0), pids[1]);
}

TEST_F(SurvivalTest, OneAfterAnotherUntilOneIsLeft) {
  Tool tool(Long("run", {"--max-restarts=0", "--wire=int8", "--overlap=2"}), Environment());
  const std::vector<pid_t> pids = AwaitWorkers(tool, "run");
  ASSERT_EQ(pids.size(), 3u);
  kill(pids[2], SIGKILL);
  AwaitGeneration(tool, "run", 2);
  kill(pids[0], SIGKILL);
  EXPECT_EQ(tool.Wait().exit_code, 0) << tool.Wait().err;
  ExpectWhole("run", 1, 2);
}

// What algorithms keep by rank, or of a number of ranks, when the group is gone that they were made on.
TEST_F(SurvivalTest, WithInertiasThatTuneThemselvesAndEncodings) {
  Tool tool(Long("run", {"--max-restarts=0", "--inertia=auto", "--wire=bf16", "--sync-warmup-steps=5"}),
            Environment());
  const std::vector<pid_t> pids = AwaitWorkers(tool, "run");
  ASSERT_EQ(pids.size(), 3u);
  kill(pids[1], SIGKILL);
  EXPECT_EQ(tool.Wait().exit_code, 0) << tool.Wait().err;
  ExpectWhole("run", 2, 1);
}

TEST_F(SurvivalTest, TwoAtOnce) {
  Tool tool(Long("run", {"--max-restarts=0", "--workers=4"}), Environment());
  const std::vector<pid_t> pids = AwaitWorkers(tool, "run");
  ASSERT_EQ(pids.size(), 4u);
  kill(pids[0], SIGKILL);
  kill(pids[3], SIGKILL);
  EXPECT_EQ(tool.Wait().exit_code, 0) << tool.Wait().err;
  EXPECT_EQ(ReadJson(Path("run") / "summary.json").at("workers"), 2);
}

TEST_F(SurvivalTest, AFrozenWorkerIsExpelledAfterTheTimeout) {
  Tool tool(Long("run", {"--max-restarts=0", "--timeout=4", "--progress=plain"}), Environment());
  const std::vector<pid_t> pids = AwaitWorkers(tool, "run");
  ASSERT_EQ(pids.size(), 3u);
  const double frozen = MonotonicSeconds();
  kill(pids[1], SIGSTOP);
  AwaitGeneration(tool, "run", 2);
  EXPECT_LT(MonotonicSeconds() - frozen, 4 + 2 + 10)
      << "the timeout, two seconds, and the time to begin again";
  EXPECT_TRUE(WaitUntil([&] { return IsGone(pids[1]); }));
  EXPECT_EQ(tool.Wait().exit_code, 0) << tool.Wait().err;
  ExpectWhole("run", 2, 1);
  EXPECT_THAT(Events("run")[0].at("reason").get<std::string>(), HasSubstr("worker 1 did not answer"));
  EXPECT_THAT(tool.Wait().err,
              ContainsRegex(
                  "rank 0 of 3 has waited [0-9.]+ s for ranks? 1.* in an exchange, and gives up after 4 s"));
}

TEST_F(SurvivalTest, BelowTheLeastNumberThereIsACheckpointAndExitCodeFour) {
  Tool tool(Long("run", {"--max-restarts=5", "--min-workers=3"}), Environment());
  // Which is the old way, without survivors: the first loss ends the run.
  std::vector<pid_t> pids = AwaitWorkers(tool, "run");
  ASSERT_EQ(pids.size(), 3u);
  kill(pids[1], SIGKILL);
  ExpectOneLine(tool.Wait(), 4, {"worker 1", "signal 9"});

  Tool other(Long("other", {"--max-restarts=0", "--min-workers=2"}), Environment());
  pids = AwaitWorkers(other, "other");
  ASSERT_EQ(pids.size(), 3u);
  kill(pids[1], SIGKILL);
  AwaitGeneration(other, "other", 2);
  kill(pids[2], SIGKILL);
  ExpectOneLine(other.Wait(), 4, {"1 of 3 workers are left", "--min-workers is 2", "--resume"});
  ExpectAllGone(pids);
  EXPECT_TRUE(fs::exists(Path("other") / "checkpoint"));
  EXPECT_EQ(Run({"train", "--resume=" + Path("other").string()}).exit_code, 0);
  EXPECT_EQ(ReadJson(Path("other") / "summary.json").at("workers"), 3);
}

TEST_F(SurvivalTest, ALastCheckpointThatCannotBeWrittenIsNotPromised) {
  Tool tool(Long("run", {"--max-restarts=0", "--min-workers=2"}), Environment());
  const std::vector<pid_t> pids = AwaitWorkers(tool, "run");
  ASSERT_EQ(pids.size(), 3u);
  kill(pids[1], SIGKILL);
  AwaitGeneration(tool, "run", 2);
  std::ofstream(Path("run") / "checkpoint") << "in the way";
  kill(pids[2], SIGKILL);
  ExpectOneLine(tool.Wait(), 4, {"1 of 3 workers are left", "could not be written"});
}

TEST_F(SurvivalTest, WhenNobodyIsLeftItSaysWhy) {
  Tool tool(Long("run", {"--workers=2"}), Environment());
  const std::vector<pid_t> pids = AwaitWorkers(tool, "run");
  ASSERT_EQ(pids.size(), 2u);
  for (const pid_t pid : pids) kill(pid, SIGSTOP);  // so that neither goes on before the other is gone
  for (const pid_t pid : pids) kill(pid, SIGKILL);
  ExpectOneLine(tool.Wait(), 4, {"no worker is left", "worker 0", "worker 1", "signal 9"});
}

// Between the start of the processes and their first step.
TEST_F(SurvivalTest, AWorkerMayBeLostWhileTheRunStarts) {
  for (const int milliseconds : {300, 600, 900}) {
    SCOPED_TRACE(milliseconds);
    const std::string out = fmt::format("run{}", milliseconds);
    Tool tool(Long(out, {"--steps=500", "--timeout=6"}), Environment());
    const double when = MonotonicSeconds() + milliseconds / 1000.0;
    WaitUntil([&] { return MonotonicSeconds() > when; });
    const std::string children = ReadProcFile(fmt::format("/proc/{0}/task/{0}/children", tool.pid()));
    if (pid_t first = 0; std::istringstream(children) >> first) kill(first, SIGKILL);
    EXPECT_EQ(tool.Wait().exit_code, 0) << tool.Wait().err;
    EXPECT_TRUE(fs::exists(Path(out) / "summary.json"));
  }
}

TEST_F(SurvivalTest, WithALossItGoesOnFromItsCheckpoints) {
  Tool tool(Long("run", {"--checkpoint-every=50", "--momentum=0.5"}), Environment());
  const std::vector<pid_t> pids = AwaitWorkers(tool, "run");
  ASSERT_EQ(pids.size(), 3u);
  kill(pids[0], SIGKILL);
  AwaitGeneration(tool, "run", 3);
  const std::string before = LastCheckpoint("run");
  EXPECT_TRUE(WaitUntil([&] { return LastCheckpoint("run") > before; }));
  // The one of before may still have been of two.
  const std::string after = LastCheckpoint("run");
  EXPECT_TRUE(WaitUntil([&] { return LastCheckpoint("run") > after; }));
  tool.Signal(SIGKILL);
  tool.Wait();
  RunWell({"train", "--resume=" + Path("run").string()});
  EXPECT_EQ(ReadJson(Path("run") / "summary.json").at("membership_events").size(), 2u);
}

TEST_F(SurvivalTest, AWorkersOwnFailureStillEndsTheRun) {
  // A learning rate at which all diverge.
  ExpectOneLine(Run(Long("run", {"--lr=1e30"})), 1, {"diverged"});
}

TEST_F(SurvivalTest, IsRefusedWhereItCannotBe) {
  ExpectOneLine(Run(Train("a", {"--backend=threads", "--min-workers=1"})), 2,
                {"--min-workers is 1", "leave it out"});
  ExpectOneLine(Run(Train("b", {"--workers=4", "--group-size=2", "--min-workers=1"})), 2,
                {"--min-workers is 1", "groups"});
}

}  // namespace
}  // namespace swarmsync::testing
