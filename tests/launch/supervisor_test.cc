// The workers are shell scripts. Each says its pid in a file before it does anything else, so that a script
// can wait for another worker and a test can look whether any is left.

#include "swarmsync/launch/supervisor.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <map>
#include <optional>

#include "swarmsync/base/clock.h"
#include "swarmsync/base/file.h"
#include "swarmsync/report/status_pipe.h"

namespace swarmsync {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

TEST(PlanLocalWorkers, GivesEachWorkerItsRankAndTheMeetingPlace) {
  LocalPlan plan;
  plan.arguments = {"/bin/tool", "worker", "config.json"};
  plan.workers = 3;
  plan.threads_per_worker = 2;
  plan.rendezvous_directory = "/private";
  plan.log = [](int rank) { return fs::path(fmt::format("/out/{}.log", rank)); };
  plan.started = 1234.5678901;
  const std::vector<WorkerCommand> commands = PlanLocalWorkers(plan);
  ASSERT_EQ(commands.size(), 3u);
  for (int rank = 0; rank < 3; ++rank) {
    const WorkerCommand& command = commands[static_cast<std::size_t>(rank)];
    EXPECT_EQ(command.arguments, plan.arguments);
    EXPECT_EQ(command.log, fmt::format("/out/{}.log", rank));
    EXPECT_THAT(command.environment, Contains(Pair("RANK", std::to_string(rank))));
    EXPECT_THAT(command.environment, Contains(Pair("LOCAL_RANK", std::to_string(rank))));
    EXPECT_THAT(command.environment, Contains(Pair("WORLD_SIZE", "3")));
    EXPECT_THAT(command.environment, Contains(Pair("OMP_NUM_THREADS", "2")));
    EXPECT_THAT(command.environment, Contains(Pair("OPENBLAS_NUM_THREADS", "2")));
    const std::map<std::string, std::string> variables(command.environment.begin(),
                                                       command.environment.end());
    EXPECT_EQ(variables.at(kStoreVariable).rfind("/private/", 0), 0u);
    EXPECT_EQ(variables.at(kStoreVariable), commands[0].environment[3].second) << "the same for all";
    EXPECT_EQ(std::stod(variables.at(kStartedVariable)), plan.started) << "to the bit";
  }
}

class SupervisorTest : public ::testing::Test {
 protected:
  // Adds a worker that runs a script. In it, `pid RANK` waits for another worker and prints its pid, and
  // `wait_forever` does that.
  void AddWorker(const std::string& script) {
    const int rank = static_cast<int>(commands_.size());
    const std::string prologue =
        "echo $$ > pid.tmp$RANK; mv pid.tmp$RANK pid.$RANK\n"
        "pid() { until [ -e pid.$1 ]; do sleep .02; done; cat pid.$1; }\n"
        "wait_forever() { exec sleep 1000; }\n";
    commands_.push_back({{"/bin/sh", "-c", "cd " + directory_.path().string() + "\n" + prologue + script},
                         {{"RANK", std::to_string(rank)}},
                         Log(rank)});
  }

  fs::path Log(int rank) const { return directory_.path() / fmt::format("{}.log", rank); }
  fs::path Path(const std::string& name) const { return directory_.path() / name; }
  std::vector<WorkerCommand>& commands() { return commands_; }

  void Run() {
    SupervisorHooks hooks;
    hooks.on_status = [this](int rank, std::string_view line) {
      status_[rank].emplace_back(line);
      return std::optional<WaitsForWorld>();
    };
    hooks.failure_of = [this](int rank) { return failure_of_(rank); };
    const double began = MonotonicSeconds();
    try {
      Supervise(commands_, hooks);
    } catch (...) {
      seconds_ = MonotonicSeconds() - began;
      ExpectNoWorkerLeft();
      throw;
    }
    seconds_ = MonotonicSeconds() - began;
    ExpectNoWorkerLeft();
  }

  // Runs, and expects an Error: its message, after checks of what every message must have.
  std::string RunToFailure(ExitCode code, int culprit) {
    try {
      Run();
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_EQ(error.exit_code(), code) << message;
      EXPECT_THAT(message, AllOf(HasSubstr(fmt::format("worker {} (pid {})", culprit, Pid(culprit))),
                                 HasSubstr(Log(culprit).string()), Not(HasSubstr("\n"))));
      return message;
    }
    ADD_FAILURE() << "no Error";
    return "";
  }

  pid_t Pid(int rank) const {
    std::ifstream file(Path(fmt::format("pid.{}", rank)));
    pid_t pid = 0;
    file >> pid;
    return pid;
  }

  // Also a zombie would answer to kill().
  void ExpectNoWorkerLeft() const {
    for (int rank = 0; rank < static_cast<int>(commands_.size()); ++rank) {
      const pid_t pid = Pid(rank);
      if (pid == 0) continue;  // ended before it could say
      EXPECT_TRUE(kill(pid, 0) != 0 && errno == ESRCH) << "worker " << rank << " is left";
    }
  }

  std::map<int, std::vector<std::string>> status_;  // lines by rank
  std::function<std::string(int)> failure_of_ = [](int) { return std::string(); };
  double seconds_ = 0;

 private:
  PrivateDirectory directory_;
  std::vector<WorkerCommand> commands_;
};

TEST_F(SupervisorTest, WaitsUntilAllHaveSucceeded) {
  AddWorker("pid 2 > seen");
  AddWorker("exit 0");
  AddWorker("pid 0; pid 1");
  Run();
  EXPECT_TRUE(fs::exists(Path("seen")));
}

TEST_F(SupervisorTest, NoWorkersAreDoneAtOnce) { Run(); }

TEST_F(SupervisorTest, OutputGoesToTheLog) {
  std::ofstream(Log(0)) << "of an earlier run";
  AddWorker("echo said; echo complained >&2");
  AddWorker("cat; echo other");  // standard input is at its end
  Run();
  EXPECT_EQ(ReadFile(Log(0)), "said\ncomplained\n");
  EXPECT_EQ(ReadFile(Log(1)), "other\n");
}

TEST_F(SupervisorTest, StatusLinesArriveInOrderAndComplete) {
  AddWorker("seq 1 9000 >&3");  // fits into the pipe, which does not block
  AddWorker("printf 'a b\\n\\nunfinished' >&3; sleep .1; printf ' now\\nlost' >&$SWARMSYNC_STATUS_FD");
  Run();
  ASSERT_EQ(status_[0].size(), 9'000u);
  for (int i = 0; i < 9'000; ++i) ASSERT_EQ(status_[0][static_cast<std::size_t>(i)], std::to_string(i + 1));
  EXPECT_THAT(status_[1], ElementsAre("a b", "", "unfinished now"));
}

TEST_F(SupervisorTest, AWorkersEnvironmentIsThisOneAndItsOwn) {
  setenv("SWARMSYNC_TEST_INHERITED", "from the parent", 1);
  setenv("SWARMSYNC_TEST_REPLACED", "from the parent", 1);
  AddWorker("echo $SWARMSYNC_TEST_INHERITED, $SWARMSYNC_TEST_REPLACED, $RANK");
  commands()[0].environment.emplace_back("SWARMSYNC_TEST_REPLACED", "its = own");
  Run();
  unsetenv("SWARMSYNC_TEST_INHERITED");
  unsetenv("SWARMSYNC_TEST_REPLACED");
  EXPECT_EQ(ReadFile(Log(0)), "from the parent, its = own, 0\n");
}

TEST_F(SupervisorTest, AWorkerInheritsNothingElse) {
  close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);  // what the test itself was started with
  AddWorker("exit 0");
  AddWorker("ls /proc/$$/fd; cut -d' ' -f5 /proc/$$/stat; exec grep SigBlk /proc/self/status");
  Run();
  EXPECT_EQ(ReadFile(Log(1)), fmt::format("0\n1\n2\n3\n{}\nSigBlk:\t0000000000000000\n", Pid(1)))
      << "its descriptors, its process group, the signals it blocks";
}

TEST_F(SupervisorTest, AFailureGivesItsCodeAndItsWords) {
  for (const ExitCode code :
       {ExitCode::kRunFailed, ExitCode::kUsage, ExitCode::kBadData, ExitCode::kCommunication}) {
    commands().clear();
    status_.clear();
    const std::string words = EncodeStatus(StatusFailure{code, "the disk is on fire"});
    AddWorker("wait_forever");
    AddWorker(fmt::format("pid 0; echo '{}' >&3; exit {}", words, static_cast<int>(code)));
    failure_of_ = [this](int rank) {
      EXPECT_EQ(rank, 1);
      EXPECT_EQ(status_[rank].size(), 1u) << "what it said is known before it is asked for";
      return std::get<StatusFailure>(DecodeStatus(status_[rank].at(0))).message;
    };
    EXPECT_THAT(RunToFailure(code, 1), HasSubstr("failed: the disk is on fire"));
    for (const int rank : {0, 1}) fs::remove(Path(fmt::format("pid.{}", rank)));
  }
}

TEST_F(SupervisorTest, AFailureWithoutAWordNamesTheExitCode) {
  AddWorker("exit 3");
  EXPECT_THAT(RunToFailure(ExitCode::kBadData, 0), HasSubstr("exit code 3"));
}

TEST_F(SupervisorTest, AnUnknownExitCodeIsTheLossOfAWorker) {
  AddWorker("exit 77");
  EXPECT_THAT(RunToFailure(ExitCode::kCommunication, 0), HasSubstr("exit code 77"));
}

TEST_F(SupervisorTest, AProgramThatCannotStartIsAFailure) {
  AddWorker("wait_forever");
  commands().push_back({{"/no/such/program"}, {}, Log(1)});
  try {
    Run();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("worker 1"), HasSubstr("127")));
  }
}

TEST_F(SupervisorTest, ALogThatCannotBeWrittenIsARunError) {
  AddWorker("wait_forever");
  AddWorker("exit 0");
  commands()[1].log = Path("missing/1.log");
  try {
    Run();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const RunError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("worker 1"), HasSubstr(Path("missing/1.log").string()),
                                    HasSubstr("No such file")));
  }
}

TEST_F(SupervisorTest, AKilledWorkerIsNamedWithItsSignal) {
  AddWorker("wait_forever");
  AddWorker("pid 0; kill -KILL $$");
  AddWorker("wait_forever");
  EXPECT_THAT(RunToFailure(ExitCode::kCommunication, 1), HasSubstr("killed by signal 9 (Killed)"));
  EXPECT_LT(seconds_, 5);
}

TEST_F(SupervisorTest, ACrashedWorkerIsNamedWithItsSignal) {
  AddWorker("ulimit -c 0; kill -SEGV $$");
  AddWorker("wait_forever");
  EXPECT_THAT(RunToFailure(ExitCode::kCommunication, 0),
              HasSubstr("killed by signal 11 (Segmentation fault)"));
}

TEST_F(SupervisorTest, TheCauseIsNamedAndNotWhoNoticedIt) {
  AddWorker("kill -KILL $(pid 1); exit 4");  // seen first, or in the same moment
  AddWorker("wait_forever");
  EXPECT_THAT(RunToFailure(ExitCode::kCommunication, 1), HasSubstr("killed by signal 9"));
}

TEST_F(SupervisorTest, AFailureOfItsOwnIsNamedBeforeTheLossOfOthers) {
  AddWorker("touch 0.done; exit 4");
  AddWorker("until [ -e 0.done ]; do sleep .01; done; exit 3");
  AddWorker("pid 0; wait_forever");
  RunToFailure(ExitCode::kBadData, 1);
}

TEST_F(SupervisorTest, AStoppedWorkerIsNamed) {
  AddWorker("until grep -q '^State:.[Tt]' /proc/$(pid 1)/status; do sleep .02; done; exit 4");
  AddWorker("kill -STOP $$; wait_forever");
  AddWorker("wait_forever");
  EXPECT_THAT(RunToFailure(ExitCode::kCommunication, 1), HasSubstr("stopped"));
}

TEST_F(SupervisorTest, LossWithoutACauseNamesTheFirst) {
  AddWorker("wait_forever");
  AddWorker("pid 0; exit 4");
  failure_of_ = [](int) { return "nobody answered"; };
  EXPECT_THAT(RunToFailure(ExitCode::kCommunication, 1), HasSubstr("nobody answered"));
}

TEST_F(SupervisorTest, AWorkerThatIgnoresSigtermIsKilled) {
  AddWorker("trap '' TERM; touch deaf; wait_forever");
  AddWorker("until [ -e deaf ]; do sleep .02; done; exit 1");
  RunToFailure(ExitCode::kRunFailed, 1);
  EXPECT_GT(seconds_, 1.0) << "it had its second";
  EXPECT_LT(seconds_, 10.0);
}

TEST_F(SupervisorTest, AWorkerMayCleanUpOnSigterm) {
  AddWorker("trap 'echo cleaned; exit 0' TERM; touch ready; while :; do sleep .02; done");
  AddWorker("until [ -e ready ]; do sleep .02; done; exit 1");
  RunToFailure(ExitCode::kRunFailed, 1);
  EXPECT_EQ(ReadFile(Log(0)), "cleaned\n");
}

TEST_F(SupervisorTest, SignalsToStopEndTheRunWithinTwoSeconds) {
  sigset_t before, after;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    commands().clear();
    AddWorker("trap '' TERM INT HUP; touch deaf; wait_forever");
    AddWorker(fmt::format(
        "until [ -e deaf ]; do sleep .02; done; date +%s.%N > sent; kill -{} $PPID; wait_forever", signal));
    AddWorker("kill -STOP $$; wait_forever");
    try {
      Run();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Interrupted& interrupted) {
      EXPECT_EQ(interrupted.signal(), signal);
    }
    const double now =
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    EXPECT_LT(now - std::stod(ReadFile(Path("sent"))), 2.0);
    fs::remove(Path("deaf"));
    for (const int rank : {0, 1, 2}) fs::remove(Path(fmt::format("pid.{}", rank)));
  }
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (const int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) {
    EXPECT_EQ(sigismember(&before, signal), sigismember(&after, signal)) << "as it was before";
  }
}

}  // namespace
}  // namespace swarmsync
