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
  ExpectRefused("seed = 1\nperid = 3\n", {"config.toml, line 2", "'perid'", "did you mean 'period'?"});
  ExpectRefused("config = 'other.toml'\n", {"unknown key 'config'"});
  ExpectRefused("log-every = 3\nlog_every = 4\n", {"line 2", "'log_every' is there twice, in line 1"});
  ExpectRefused("\n\nlr = -1.5\n", {"--lr is -1.5", "at least 0", "config.toml, line 3"});
  ExpectRefused("seed = true\n", {"--seed", "true", "config.toml, line 1"});
  ExpectRefused("period = 2026-11-26\n", {"config.toml, line 1", "'period' is a date"});
  ExpectRefused("lr = nan\n", {"--lr is nan", "a number"});
  ExpectRefused("lr = \"fast\"\n", {"--lr", "fast"});
  ExpectRefused("velocity = \"totl\"\n", {"--velocity", "'totl'", "did you mean 'total'?"});
  ExpectRefused("period = \n", {"--config", Path("config.toml"), "line 1"});
  ExpectRefused("seed = 1\nseed = 2\n", {"--config", Path("config.toml"), "line 2"});
  ExpectRefused("lr = [0.1, 0.2]\n", {"--lr", "0.1,0.2", Path("config.toml"), "line 1"});
  ExpectRefused("[swarm]\ninertia = 0.5\n", {"--config", Path("config.toml"), "[swarm] is a table"});
}

TEST_F(ConfigFileTest, AnErrorInAFlagIsNotLaidToTheFile) {
  const ToolResult result = Run(Train("refused", {"--config", Write("lr = 0.5\n"), "--lr=-1"}));
  ExpectOneLine(result, 2, {"--lr is -1"});
  EXPECT_THAT(result.err, ::testing::Not(HasSubstr("config.toml")));
}

TEST_F(ConfigFileTest, AListIsAnArrayOrAText) {
  for (const char* list : {"worker-lr = [0.1, 1]\n", "worker-lr = '0.1,1'\n"}) {
    const ToolResult printed = RunWell({"train", "--workers=2", "--print-config", "--config", Write(list)});
    EXPECT_THAT(printed.out, HasSubstr("\nworker-lr = [0.1, 1]\n"));
  }
}

TEST_F(ConfigFileTest, AVariableNamesTheFileOfATrainingWithoutOne) {
  const std::string seven = Write("period = 7\n");
  const Variables variables{{"SWARMSYNC_CONFIG", seven}};
  EXPECT_THAT(Run({"train", "--print-config"}, variables).out, HasSubstr("\nperiod = 7\n"));
  EXPECT_THAT(Run({"train", "--print-config", "--period=8"}, variables).out, HasSubstr("\nperiod = 8\n"));
  WriteBytes(Path("other.toml"), "seed = 1\n");
  EXPECT_THAT(Run({"train", "--print-config", "--config", Path("other.toml")}, variables).out,
              HasSubstr("\nperiod = 16\n"));
  EXPECT_EQ(Run({"info"}, variables).exit_code, 0);
}

TEST_F(ConfigFileTest, AVariableSaysWhereNewRunsAre) {
  Arguments train = Train("");
  train.pop_back();  // --out
  EXPECT_EQ(Run(train, {{"SWARMSYNC_RUNS_DIR", Path("runs").string()}}).exit_code, 0);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(Path("runs")), {}), 1);
}

// Prints the configuration that the flags make, and the one that the printed file makes.
TEST_F(ConfigFileTest, WhatIsPrintedMakesTheSameConfiguration) {
  const std::vector<Arguments> runs{
      {},
      {"--lr=0.9", "--momentum=0.1", "--weight-decay=1e-05", "--seed=18446744073709551615", "--guard"},
      {"--sync=slowmo", "--slow-alpha=0.30000000000000004", "--steps=7", "--overlap=3", "--wire=bf16"},
      {"--sync=informed-pso-ps", "--inertia=0.9:0.1", "--beta=2.5", "--threads-per-worker=3"},
      {"--inertia=auto", "--social=0.25", "--schedule=step:2,4@0.3", "--shard=label-skew:0.5"},
      {"--workers=2", "--worker-lr=0.1,0.2", "--label-noise=0,0.25", "--link=100mbit,20ms"},
      {"--group-size=2", "--group-period=3", "--epochs=3", "--out=a \"b\" \\ c"},
      {"--inertia=0", "--final-average=0", "--amp=bf16", "--device=cpu", "--data-dir=some where"},
  };
  for (const Arguments& flags : runs) {
    const std::string printed = RunWell(Arguments{"train", "--print-config"} + flags).out;
    EXPECT_EQ(RunWell({"train", "--print-config", "--config", Write(printed)}).out, printed);
    EXPECT_THAT(printed, ::testing::Not(HasSubstr("00000000000001")));
    for (const std::string flag : {"inertia", "epochs", "resume", "threads-per-worker"})
      EXPECT_THAT(printed, ::testing::ContainsRegex(fmt::format("\n(# )?{} =", flag)));
  }
  EXPECT_FALSE(std::filesystem::exists(Path("home")));
}

TEST_F(ConfigFileTest, WhatIsPrintedTrainsTheSame) {
  const Arguments flags = Train("first", {"--sync=slowmo", "--momentum=0.9", "--lr=0.03"});
  const ToolResult printed = RunWell(flags + Arguments{"--print-config"});
  EXPECT_FALSE(std::filesystem::exists(Path("first")));
  RunWell(flags);
  const ToolResult again =
      RunWell({"train", "--config", Write(printed.out), "--out=" + Path("second").string()});
  Json first = Config("first"), second = Config("second");
  first.erase("out");
  second.erase("out");
  EXPECT_EQ(first, second);
  EXPECT_EQ(ErrorLines(again.err), std::vector<std::string>{});
  EXPECT_THAT(again.err, ::testing::Not(HasSubstr("does nothing"))) << "a default asks for nothing";
}

TEST_F(ConfigFileTest, NumbersOfAComparisonAreAsShortAsInTheFile) {
  const std::string config = Write("lr = [0.9, 0.1]\nmomentum = 0.7\n");
  RunWell({"compare", DataFlag(), "--model=mlp", "--batch-size=10", "--workers=2", "--epochs=1",
           "--sync=average", "--validation=20", "--seeds=1", "--quiet", "--config", config,
           "--out=" + Path("cmp").string()});
  const std::string runs = ReadFile(Path("cmp/runs.jsonl"));
  EXPECT_THAT(runs, HasSubstr("\"lr\":\"0.9\""));
  EXPECT_THAT(runs, HasSubstr("\"momentum\":\"0.7\""));
}

TEST_F(ConfigFileTest, OneThatCannotBeReadIsRefused) {
  ExpectOneLine(Run(Train("run", {"--config", Path("none.toml").string()})), 2,
                {"--config", Path("none.toml"), "no such file"});
  ExpectOneLine(Run(Train("run", {"--config", Path("data").string()})), 2, {"--config", Path("data")});
  ExpectOneLine(Run(Train("run", {"--config"})), 2, {"--config", "--help"});
}

}  // namespace
}  // namespace swarmsync::testing
