// Runs that are killed and go on.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "cli/tool.h"
#include "support/test_name.h"

namespace swarmsync::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;
using Json = nlohmann::json;

class ResumeTest : public ToolTest {
 protected:
  // Takes a second or two.
  Arguments Long(const std::string& out, const Arguments& flags = {}) const {
    return TrainForLong(out, Arguments{"--steps=1200", "--checkpoint-every=20", "--momentum=0.5"} + flags);
  }
  std::string Model(const std::string& out) const { return ReadFile(Path(out) / "model.safetensors"); }
  std::string ResumeFlag(const std::string& out) const { return "--resume=" + Path(out).string(); }
  bool HasCheckpoint(const std::string& out) const {
    std::error_code ignored;
    return fs::exists(Path(out) / "checkpoint", ignored);
  }
};

class ResumeEverySyncTest : public ResumeTest, public ::testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(Names, ResumeEverySyncTest,
                         ::testing::Values("ssgd", "average", "pso-ps", "informed-pso-ps", "easgd", "slowmo",
                                           "diloco", "leader"),
                         [](const auto& info) { return TestName(info.param); });

// The moments are drawn anew from a seed for each synchronizer; most lie within the training.
TEST_P(ResumeEverySyncTest, KilledAtAnyMomentItGivesTheSameModelToTheByte) {
  std::mt19937 moments(static_cast<unsigned>(GetParam().size()));
  for (const char* backend : {"processes", "threads"}) {
    const std::string whole = std::string("whole-") + backend, killed = std::string("killed-") + backend;
    const Arguments flags{"--sync=" + GetParam(), std::string("--backend=") + backend};
    const double seconds = RunWell(Long(whole, flags)).seconds;
    Arguments next = Long(killed, flags);
    for (int kills = 0; kills < (GetParam() == "pso-ps" ? 3 : 1); ++kills) {
      const double moment = std::uniform_real_distribution<>(0.3, 0.8)(moments) * seconds;
      SCOPED_TRACE(fmt::format("{}, killed after {:.2f} s of {:.2f} s", backend, moment, seconds));
      Tool tool(next, Environment());
      const double when = MonotonicSeconds() + moment;
      WaitUntil([&] { return MonotonicSeconds() > when || !tool.running(); });
      tool.Signal(SIGKILL);
      tool.Wait();
      if (fs::exists(Path(killed) / "config.json")) next = {"train", ResumeFlag(killed)};
    }
    RunWell(next);
    EXPECT_TRUE(Model(killed) == Model(whole)) << backend;
    EXPECT_EQ(ReadJson(Path(killed) / "summary.json").at("rounds"),
              ReadJson(Path(whole) / "summary.json").at("rounds"));
  }
}

TEST_F(ResumeTest, AKilledWorkerEndsTheRunAndItGoesOn) {
  RunWell(Long("whole"));
  Tool tool(Long("run", {"--min-workers=2"}), Environment());
  const std::vector<pid_t> pids = AwaitWorkers(tool, "run");
  ASSERT_EQ(pids.size(), 2u);
  ASSERT_TRUE(WaitUntil([&] { return HasCheckpoint("run"); }));
  kill(pids[1], SIGKILL);
  EXPECT_EQ(tool.Wait().exit_code, 4);
  RunWell({"train", ResumeFlag("run")});
  EXPECT_TRUE(Model("run") == Model("whole"));
}

TEST_F(ResumeTest, ItsFlagsHoldAndLengthsMayChange) {
  RunWell(Train("run", {"--checkpoint-every=1", "--lr=0.03"}));
  const ToolResult longer = RunWell({"train", ResumeFlag("run"), "--epochs=4", "--progress=plain"});
  EXPECT_THAT(longer.err, HasSubstr("going on from the checkpoint of step 18"));
  RunWell(Train("whole", {"--checkpoint-every=1", "--lr=0.03", "--epochs=4"}));
  EXPECT_TRUE(Model("run") == Model("whole"));
  const Json config = ReadJson(Path("run") / "config.json");
  EXPECT_EQ(config.at("lr"), 0.03);
  EXPECT_EQ(config.at("epochs"), 4);
  EXPECT_EQ(config.at("resume"), Path("run").string());
}

TEST_F(ResumeTest, WithOtherWorkersAndInAnotherDirectory) {
  RunWell(Train("run", {"--checkpoint-every=1"}));
  const std::string before = Model("run");
  const ToolResult result = RunWell({"train", ResumeFlag("run"), "--workers=4", "--epochs=4",
                                     "--progress=plain", "--out=" + Path("other").string()});
  EXPECT_THAT(result.err, HasSubstr("with 4 workers instead of 2"));
  EXPECT_EQ(ReadJson(Path("other") / "summary.json").at("workers"), 4);
  EXPECT_EQ(ReadJson(Path("other") / "workers.json").size(), 4u);
  EXPECT_TRUE(Model("run") == before);
}

TEST_F(ResumeTest, FromThreadsToProcessesAndBack) {
  RunWell(Train("run", {"--checkpoint-every=1", "--backend=threads"}));
  RunWell({"train", ResumeFlag("run"), "--backend=processes", "--epochs=4"});
  RunWell({"train", ResumeFlag("run") + "/", "--backend=threads", "--epochs=6",
           "--out=" + Path("run").string() + "/"});
  EXPECT_EQ(ReadJson(Path("run") / "summary.json").at("epochs"), 6);
}

TEST_F(ResumeTest, WhatMayNotChangeIsRefusedInOneLine) {
  RunWell(Train("run", {"--checkpoint-every=1", "--lr=0.03"}));
  const std::string before = Model("run"), config = ReadFile(Path("run") / "config.json");
  const auto refused = [&](const Arguments& flags, int code, const std::vector<std::string>& parts) {
    ExpectOneLine(Run(Arguments{"train", ResumeFlag("run")} + flags), code, parts);
  };
  refused({"--lr=0.1", "--epochs=4"}, 2, {"--lr is 0.1", "has 0.03", "leave it out"});
  refused({"--sync=average"}, 2, {"--sync is \"average\"", "has \"pso-ps\""});
  refused({"--batch-size=20"}, 2, {"--batch-size is 20"});
  refused({"--overwrite"}, 2, {"--overwrite is true"});
  refused({"--epochs=1"}, 2, {"--epochs"});
  refused({"--workers=1000"}, 2, {"1000 workers"});
  EXPECT_TRUE(Model("run") == before);
  EXPECT_EQ(ReadFile(Path("run") / "config.json"), config);
  // What is the same may be said again.
  RunWell({"train", ResumeFlag("run"), "--lr=0.03", "--epochs=3"});
}

TEST_F(ResumeTest, OfNoRunIsRefusedInOneLine) {
  ExpectOneLine(Run({"train", ResumeFlag("nothing")}), 3,
                {"--resume", "nothing", "holds no run", "config.json"});
  fs::create_directory(Path("broken"));
  std::ofstream(Path("broken") / "config.json") << "{\"lr\": ";
  ExpectOneLine(Run({"train", ResumeFlag("broken")}), 3, {"--resume", "broken", "cannot be read"});
}

TEST_F(ResumeTest, DamagedCheckpointsAreToldOfInOneLine) {
  RunWell(Train("run", {"--checkpoint-every=1"}));
  for (const auto& entry : fs::directory_iterator(Path("run") / "checkpoint"))
    fs::resize_file(entry.path() / "rank-1-of-2.safetensors", 100);
  ExpectOneLine(Run({"train", ResumeFlag("run")}), 3, {"worker 1", "is damaged", "train anew"});
}

TEST_F(ResumeTest, OverwritingRemovesTheCheckpoints) {
  RunWell(Train("run", {"--checkpoint-every=1"}));
  ASSERT_TRUE(HasCheckpoint("run"));
  RunWell(Train("run", {"--overwrite"}));
  EXPECT_FALSE(HasCheckpoint("run"));
}

}  // namespace
}  // namespace swarmsync::testing
