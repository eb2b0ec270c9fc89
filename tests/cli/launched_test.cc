// Ranks that a launcher started: the variables of torchrun, set by hand.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "cli/tool.h"
#include "support/socket.h"

namespace swarmsync::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class LaunchedTest : public ToolTest {
 protected:
  Variables Rank(int rank, int size, int port) const {
    Variables variables = Environment();
    variables.insert({{"RANK", std::to_string(rank)},
                      {"WORLD_SIZE", std::to_string(size)},
                      {"LOCAL_RANK", std::to_string(rank)},
                      {"MASTER_ADDR", "127.0.0.1"},
                      {"MASTER_PORT", std::to_string(port)}});
    return variables;
  }

  // Without --workers, which the launcher decides.
  static Arguments AsRank(Arguments arguments) {
    arguments.erase(std::find(arguments.begin(), arguments.end(), "--workers=2"));
    return arguments;
  }
};

TEST_F(LaunchedTest, TwoRanksTrainWhatTwoWorkersTrain) {
  for (const char* sync : {"--sync=pso-ps", "--sync=ssgd"}) {
    fs::remove_all(Path("launched"));
    fs::remove_all(Path("local"));
    const int port = FreePort();
    const Arguments arguments = AsRank(Train("launched", {sync, "--seed=4"}));
    Tool first(arguments, Rank(0, 2, port)), second(arguments, Rank(1, 2, port));
    EXPECT_EQ(first.Wait().exit_code, 0) << first.Wait().err;
    EXPECT_EQ(second.Wait().exit_code, 0) << second.Wait().err;
    EXPECT_THAT(first.Wait().out, HasSubstr("test accuracy"));
    EXPECT_EQ(second.Wait().out, "") << "one rank speaks for all";

    const auto workers = ReadJson(Path("launched/workers.json"));
    ASSERT_EQ(workers.size(), 2u);
    EXPECT_EQ(workers[0].at("pid"), first.pid());
    EXPECT_EQ(workers[1].at("pid"), second.pid());
    EXPECT_EQ(ReadJson(Path("launched/summary.json")).at("workers"), 2);
    EXPECT_EQ(ReadJson(Path("launched/config.json")).at("workers"), 2);

    RunWell(Train("local", {sync, "--seed=4"}));
    EXPECT_TRUE(ReadFile(Path("launched/model.safetensors")) == ReadFile(Path("local/model.safetensors")))
        << sync;
  }
  ExpectNothingTemporaryLeft();
}

TEST_F(LaunchedTest, AWorldOfOneNeedsNoMeetingPlace) {
  Variables variables = Environment();
  variables.insert({{"RANK", "0"}, {"WORLD_SIZE", "1"}});
  const ToolResult result = RunTool(AsRank(Train("run")), variables);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(ReadJson(Path("run/summary.json")).at("workers"), 1);
}

TEST_F(LaunchedTest, WorkersBesideRankVariablesAreRefused) {
  ExpectOneLine(RunTool(Train("run"), Rank(0, 2, FreePort())), 2,
                {"--workers", "RANK", "rank 0 of 2", "leave"});
  Variables variables = Environment();
  variables.insert({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "3"}});
  ExpectOneLine(RunTool(Train("run"), variables), 2, {"--workers", "OMPI_COMM_WORLD_RANK", "rank 1 of 3"});
  EXPECT_FALSE(fs::exists(Path("run")));
}

TEST_F(LaunchedTest, WhatASlurmBatchScriptInheritsIsNoRank) {
  Variables variables = Environment();
  variables.insert({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "2"}, {"SLURM_LOCALID", "0"}});
  const ToolResult result = RunTool(Train("run"), variables);
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_F(LaunchedTest, VariablesThatMakeNoSenseAreRefused) {
  Variables variables = Rank(0, 2, FreePort());
  variables["RANK"] = "2";
  ExpectOneLine(RunTool(AsRank(Train("run")), variables), 2, {"RANK is '2'", "0 to 1"});
  variables = Rank(0, 2, FreePort());
  variables.erase("WORLD_SIZE");
  ExpectOneLine(RunTool(AsRank(Train("run")), variables), 2, {"WORLD_SIZE", "RANK"});
  variables = Rank(0, 2, FreePort());
  variables.erase("MASTER_ADDR");
  ExpectOneLine(RunTool(AsRank(Train("run")), variables), 2, {"MASTER_ADDR", "MASTER_PORT"});
}

TEST_F(LaunchedTest, AnOutIsNeeded) {
  Arguments arguments = AsRank(Train("run"));
  arguments.erase(std::find(arguments.begin(), arguments.end(), "--out=" + Path("run").string()));
  ExpectOneLine(RunTool(arguments, Rank(0, 2, FreePort())), 2, {"--out"});
}

TEST_F(LaunchedTest, AMasterPortThatIsTakenIsACommunicationError) {
  Socket taken;
  const int port = taken.Listen();
  const ToolResult result = RunTool(AsRank(Train("run", {"--timeout=10"})), Rank(0, 2, port));
  ExpectOneLine(result, 4, {std::to_string(port), "taken", "MASTER_PORT"});
  EXPECT_LT(result.seconds, 10);
}

TEST_F(LaunchedTest, ARankThatNeverComesIsACommunicationError) {
  for (const int rank : {0, 1}) {
    const int port = FreePort();
    const ToolResult result = RunTool(AsRank(Train("run", {"--timeout=2"})), Rank(rank, 2, port));
    ExpectOneLine(result, 4, {fmt::format("rank {} of 2", rank), fmt::format("127.0.0.1:{}", port), "2 s"});
    EXPECT_GT(result.seconds, 1);
    EXPECT_LT(result.seconds, 10);
  }
}

TEST_F(LaunchedTest, AMeetingPlaceThatDoesNotAnswerIsACommunicationError) {
  Socket silent;  // takes connections and says nothing
  const int port = silent.Listen();
  for (const int rank : {0, 1}) {
    Variables variables = Rank(rank, 2, port);
    variables["TORCHELASTIC_USE_AGENT_STORE"] = "True";  // so that rank 0 does not serve the store itself
    const ToolResult result = RunTool(AsRank(Train("run", {"--timeout=2"})), variables);
    ExpectOneLine(result, 4, {fmt::format("rank {} of 2", rank), std::to_string(port), "2 s"});
    EXPECT_LT(result.seconds, 10);
  }
}

TEST_F(LaunchedTest, ARankWithAnotherTokenIsRefusedAndDisturbsNobody) {
  const int port = FreePort();
  const auto with_token = [&](int rank, const char* token) {
    Variables variables = Rank(rank, 2, port);
    variables["SWARMSYNC_TOKEN"] = token;
    return variables;
  };
  const Arguments arguments = AsRank(Train("run"));
  Tool first(arguments, with_token(0, "the token of this job"));
  ExpectOneLine(RunTool(AsRank(Train("stale", {"--timeout=20"})), with_token(1, "the token of another job")),
                4, {"rank 1 of 2", fmt::format("127.0.0.1:{}", port), "another token", "SWARMSYNC_TOKEN"});
  EXPECT_TRUE(first.running());
  Tool second(arguments, with_token(1, "the token of this job"));
  EXPECT_EQ(first.Wait().exit_code, 0) << first.Wait().err;
  EXPECT_EQ(second.Wait().exit_code, 0) << second.Wait().err;
  EXPECT_THAT(first.Wait().err, HasSubstr("refused a connection from 127.0.0.1:"));
}

TEST_F(LaunchedTest, SeveralHostsNeedATokenAndAnInterface) {
  Variables variables = Rank(0, 2, FreePort());
  variables["MASTER_ADDR"] = "192.0.2.1";
  ExpectOneLine(RunTool(AsRank(Train("run")), variables), 2, {"GLOO_SOCKET_IFNAME", "several hosts", "lo"});
  variables["GLOO_SOCKET_IFNAME"] = "lo";
  ExpectOneLine(RunTool(AsRank(Train("run")), variables), 2, {"SWARMSYNC_TOKEN", "openssl rand"});
}

// As when MASTER_ADDR is this host's name, and the interface that it belongs to is named, or not.
TEST_F(LaunchedTest, RanksOnOneHostMeetWhateverItIsCalled) {
  for (const char* interface : {"", "lo"}) {
    const int port = FreePort();
    const auto rank = [&](int number) {
      Variables variables = Rank(number, 2, port);
      variables["MASTER_ADDR"] = "192.0.2.1";
      variables["LOCAL_WORLD_SIZE"] = "2";
      variables["GLOO_SOCKET_IFNAME"] = interface;
      return variables;
    };
    const Arguments arguments = AsRank(Train("run", {"--overwrite"}));
    Tool first(arguments, rank(0)), second(arguments, rank(1));
    EXPECT_EQ(first.Wait().exit_code, 0) << first.Wait().err;
    EXPECT_EQ(second.Wait().exit_code, 0) << second.Wait().err;
  }
}

TEST_F(LaunchedTest, WhatRankZeroRefusesEndsAllRanks) {
  WriteBytes(Path("file"), "x");
  const int port = FreePort();
  const Arguments arguments = AsRank(Train("unused", {"--out=" + Path("file/run").string()}));
  Tool first(arguments, Rank(0, 2, port)), second(arguments, Rank(1, 2, port));
  ExpectOneLine(first.Wait(), 2, {"--out", Path("file/run")});
  ExpectOneLine(second.Wait(), 4, {"rank 0 could not begin", "--out"});
}

TEST_F(LaunchedTest, RanksWithOtherOptionsAreRefused) {
  const int port = FreePort();
  Tool first(AsRank(Train("run", {"--lr=0.1", "--period=2"})), Rank(0, 2, port));
  Tool second(AsRank(Train("run", {"--lr=0.1", "--period=3"})), Rank(1, 2, port));
  ExpectOneLine(first.Wait(), 2, {"disagree", "--period is 2 on rank 0 and 3 on rank 1"});
  ExpectOneLine(second.Wait(), 2, {"disagree", "--period is 2 on rank 0 and 3 on rank 1"});
}

TEST_F(LaunchedTest, TheOtherRankEndsWhenOneIsKilled) {
  const int port = FreePort();
  const Arguments arguments = AsRank(TrainForLong("run", {"--timeout=20"}));
  Tool first(arguments, Rank(0, 2, port)), second(arguments, Rank(1, 2, port));
  ASSERT_EQ(AwaitWorkers(first, "run").size(), 2u);
  second.Signal(SIGKILL);
  const double killed = MonotonicSeconds();
  ExpectOneLine(first.Wait(), 4, {"rank 0 of 2"});
  EXPECT_LT(first.Wait().ended - killed, 10);
}

TEST_F(LaunchedTest, InterruptedRanksEndWithinTwoSeconds) {
  const int port = FreePort();
  const Arguments arguments = AsRank(TrainForLong("run", {"--timeout=20"}));
  Tool first(arguments, Rank(0, 2, port)), second(arguments, Rank(1, 2, port));
  ASSERT_EQ(AwaitWorkers(first, "run").size(), 2u);
  const double sent = MonotonicSeconds();
  first.Signal(SIGINT);
  second.Signal(SIGINT);
  for (Tool* tool : {&first, &second}) {
    EXPECT_TRUE(WaitUntil([&] { return !tool->running(); }, 10));
    ExpectOneLine(tool->Wait(), 130, {"signal 2"});
    EXPECT_LT(tool->Wait().ended - sent, 2);
  }
}

}  // namespace
}  // namespace swarmsync::testing
