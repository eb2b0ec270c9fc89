#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/tool.h"

namespace swarmsync::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

class ConfigFileTest : public ToolTest {
 protected:
  std::string Write(const std::string& toml) {
    WriteBytes(Path("config.toml"), toml);
    return Path("config.toml").string();
  }
  Json Config(const std::string& out) const { return ReadJson(Path(out) / "config.json"); }
  void ExpectRefused(const std::string& toml, const std::vector<std::string>& parts) {
    ExpectOneLine(Run(Train("refused", {"--config", Write(toml)})), 2, parts);
    EXPECT_FALSE(std::filesystem::exists(Path("refused")));
  }
};

TEST_F(ConfigFileTest, SetsWhatFlagsSetAndAFlagOverridesIt) {
  const std::string config = Write(
      "# a comment\n"
      "dataset = \"idx:" +
      Path("data").string() +
      "\"\n"
      "model = 'mlp'\n"
      "batch-size = 10\n"
      "threads_per_worker = 1\n"
      "steps = 4\n"
      "workers = 2\n"
      "lr = 0.05\n"
      "momentum = 5e-1\n"
      "nesterov = true\n"
      "overwrite = false\n"
      "period = 9\n"
      "sync = \"average\"\n"
      "progress = \"none\"\n");
  RunWell({"train", "--config=" + config, "--period=2", "--lr", "0.01", "--out", Path("run").string()});
  const Json used = Config("run");
  EXPECT_EQ(used.at("period"), 2) << "the flag";
  EXPECT_EQ(used.at("lr"), 0.01) << "the flag";
  EXPECT_EQ(used.at("momentum"), 0.5);
  EXPECT_EQ(used.at("nesterov"), true);
  EXPECT_EQ(used.at("overwrite"), false);
  EXPECT_EQ(used.at("sync"), "average");
  EXPECT_EQ(used.at("steps"), 4);
  EXPECT_EQ(used.at("batch_size"), 10);
  EXPECT_EQ(used.at("threads_per_worker"), 1);
}

TEST_F(ConfigFileTest, AFlagBeforeItOverridesItToo) {
  const std::string config = Write("period = 9\nseed = 4\n");
  RunWell({"--verbose", "train", "--workers=1", "--model=mlp", "--batch-size=10", DataFlag(), "--steps=1",
           "--period=2", "--quiet", "--out=" + Path("run").string(), "--config", config});
  EXPECT_EQ(Config("run").at("period"), 2);
  EXPECT_EQ(Config("run").at("seed"), 4);
}

TEST_F(ConfigFileTest, ALengthOverridesTheOtherKindOfLength) {
  const std::string config = Write("epochs = 40\n");
  RunWell({"train", DataFlag(), "--model=mlp", "--batch-size=10", "--steps=1", "--workers=1", "--quiet",
           "--out=" + Path("run").string(), "--config", config});
  EXPECT_EQ(Config("run").at("steps"), 1);
  EXPECT_EQ(Config("run").at("epochs"), 0);
  ExpectOneLine(Run({"train", DataFlag(), "--out=" + Path("both").string(), "--config",
                     Write("epochs = 40\nsteps = 3\n")}),
                2, {"--epochs and --steps are both given", "give one of them"});
}

TEST_F(ConfigFileTest, DashesAndUnderscoresAreTheSame) {
  const std::string config = Write("log_every = 3\nweight-decay = 0.5\nmemory_decay = 0.25\n");
  RunWell({"train", DataFlag(), "--model=mlp", "--batch_size=10", "--threads_per_worker", "1", "--steps=1",
           "--workers=1", "--quiet", "--out=" + Path("a_b").string(), "--config", config});
  const Json used = Config("a_b");
  EXPECT_EQ(used.at("batch_size"), 10);
  EXPECT_EQ(used.at("threads_per_worker"), 1);
  EXPECT_EQ(used.at("log_every"), 3);
  EXPECT_EQ(used.at("weight_decay"), 0.5);
  EXPECT_EQ(used.at("memory_decay"), 0.25);
}

TEST_F(ConfigFileTest, WhatIsWrongInItIsRefused) {
  ExpectRefused("perid = 3\n", {"'--perid'", "did you mean '--period'?"});
  ExpectRefused("lr = -1.5\n", {"--lr is -1.5", "at least 0"});
  ExpectRefused("lr = nan\n", {"--lr is nan", "a number"});
  ExpectRefused("lr = \"fast\"\n", {"--lr", "fast"});
  ExpectRefused("velocity = \"totl\"\n", {"--velocity", "'totl'", "did you mean 'total'?"});
  ExpectRefused("period = \n", {"--config", Path("config.toml"), "line 1"});
  ExpectRefused("seed = 1\nseed = 2\n", {"--config", Path("config.toml"), "line 2"});
  ExpectRefused("lr = [0.1, 0.2]\n", {"--config", Path("config.toml"), "'lr'", "single value"});
  ExpectRefused("[swarm]\ninertia = 0.5\n", {"--config", Path("config.toml"), "'swarm'", "single value"});
}

TEST_F(ConfigFileTest, OneThatCannotBeReadIsRefused) {
  ExpectOneLine(Run(Train("run", {"--config", Path("none.toml").string()})), 2,
                {"--config", Path("none.toml"), "no such file"});
  ExpectOneLine(Run(Train("run", {"--config", Path("data").string()})), 2, {"--config", Path("data")});
  ExpectOneLine(Run(Train("run", {"--config"})), 2, {"--config", "--help"});
}

}  // namespace
}  // namespace swarmsync::testing
