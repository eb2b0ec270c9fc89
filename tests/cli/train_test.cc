// Whole trainings with the tool, on both backends.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "cli/tool.h"
#include "support/test_name.h"

namespace swarmsync::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using Json = nlohmann::json;
namespace fs = std::filesystem;

class TrainTest : public ToolTest {
 protected:
  std::string Model(const std::string& out) const { return ReadFile(Path(out) / "model.safetensors"); }
  Json Summary(const std::string& out) const { return ReadJson(Path(out) / "summary.json"); }

  void ExpectTheFilesOfTheContract(const std::string& out, int workers, bool processes) const {
    EXPECT_EQ(StrangeFiles(out).size(), 0u);
    const Json config = ReadJson(Path(out) / "config.json");
    EXPECT_EQ(config.at("workers"), workers);
    EXPECT_EQ(config.at("backend"), processes ? "processes" : "threads");
    EXPECT_EQ(config.at("batch_size"), 10);

    const Json listed = ReadJson(Path(out) / "workers.json");
    ASSERT_EQ(listed.size(), static_cast<std::size_t>(workers));
    std::set<pid_t> pids;
    for (int rank = 0; rank < workers; ++rank) {
      const Json& worker = listed[static_cast<std::size_t>(rank)];
      EXPECT_EQ(worker.at("rank"), rank);
      EXPECT_EQ(worker.at("device"), "cpu");
      EXPECT_FALSE(worker.at("host").get<std::string>().empty());
      pids.insert(worker.at("pid").get<pid_t>());
    }
    EXPECT_EQ(pids.size(), processes ? listed.size() : 1u);

    std::set<std::string> events;
    for (const Json& record : ReadJsonLines(Path(out) / "metrics.jsonl")) events.insert(record.at("event"));
    EXPECT_TRUE(events.count("epoch"));
    EXPECT_TRUE(events.count("loss"));

    EXPECT_THAT(ReadFile(Path(out) / "report.html"), HasSubstr("report-data"));

    const Json summary = Summary(out);
    EXPECT_EQ(summary.at("workers"), workers);
    EXPECT_EQ(summary.at("sync"), config.at("sync"));
    EXPECT_EQ(summary.at("steps"), 12);
    EXPECT_GT(summary.at("test_accuracy"), 0.5) << "it learns";
    double sum = 0;
    for (const char* part : {"setup", "data", "compute", "sync", "wait", "evaluate", "checkpoint"}) {
      sum += summary.at(std::string(part) + "_seconds").get<double>();
    }
    const double wall = summary.at("wall_seconds");  // of some hundredths of a second with threads
    EXPECT_NEAR(sum, wall, 0.05 * wall + 0.02) << summary.dump();
    if (processes) {
      for (int rank = 0; rank < workers; ++rank) {
        EXPECT_TRUE(fs::exists(Path(out) / "logs" / fmt::format("worker-{}.log", rank)));
      }
    }
  }

  void ExpectEvaluateAgrees(const std::string& out) const {
    const ToolResult result =
        RunWell({"evaluate", "--json", "--weights", (Path(out) / "model.safetensors").string()});
    const Json evaluation = Json::parse(result.out), summary = Summary(out);
    EXPECT_EQ(evaluation.at("model"), "mlp");
    EXPECT_EQ(evaluation.at("samples"), 50);
    EXPECT_DOUBLE_EQ(evaluation.at("test_accuracy"), summary.at("test_accuracy"));
    EXPECT_NEAR(evaluation.at("test_loss"), summary.at("test_loss"), 1e-6);
  }
};

// One algorithm on both backends, each twice.
class EverySync : public TrainTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(EverySync, TrainsTheSameModelTwiceAndOnBothBackends) {
  const std::string sync = std::string("--sync=") + GetParam();
  for (const std::string backend : {"processes", "threads"}) {
    const Arguments flags{sync, "--workers=3", "--seed=5", "--log-every=4", "--backend=" + backend};
    const ToolResult first = RunWell(Train(backend, flags));
    EXPECT_EQ(ErrorLines(first.err).size(), 0u);
    EXPECT_THAT(first.out,
                AllOf(HasSubstr("test accuracy"), HasSubstr("results are in"), HasSubstr(Path(backend))));
    ExpectTheFilesOfTheContract(backend, 3, backend == "processes");
    RunWell(Train(backend + "-again", flags));
    EXPECT_TRUE(Model(backend) == Model(backend + "-again")) << "byte for byte, " << backend;
    ExpectEvaluateAgrees(backend);
  }
  EXPECT_LT(LargestDifference(Path("processes/model.safetensors"), Path("threads/model.safetensors")), 1e-4);
  const Json processes = Summary("processes"), threads = Summary("threads");
  for (const char* key : {"steps", "rounds", "epochs", "period", "final_model", "bytes_sent_per_worker"}) {
    EXPECT_EQ(processes.at(key), threads.at(key)) << key;
  }
  ExpectNothingTemporaryLeft();
}

INSTANTIATE_TEST_SUITE_P(, EverySync,
                         ::testing::Values("ssgd", "average", "pso-ps", "informed-pso-ps", "easgd", "slowmo",
                                           "diloco", "leader"),
                         [](const auto& info) { return TestName(info.param); });

TEST_F(TrainTest, GroupsTrainTheSameModelOnBothBackends) {
  for (const std::string backend : {"processes", "threads"}) {
    RunWell(Train(backend, {"--sync=informed-pso-ps", "--workers=4", "--group-size=2", "--period=4",
                            "--seed=5", "--backend=" + backend}));
    const Json summary = Summary(backend);
    EXPECT_EQ(summary.at("group_size"), 2);
    EXPECT_EQ(ReadJson(Path(backend) / "config.json").at("group_period"), 1) << "a quarter of the period";
    EXPECT_LT(summary.at("bytes_sent_between_groups_per_worker"),
              0.5 * summary.at("bytes_sent_per_worker").get<double>());
    EXPECT_GT(summary.at("bytes_sent_between_groups_per_worker"), 0);
  }
  EXPECT_LT(LargestDifference(Path("processes/model.safetensors"), Path("threads/model.safetensors")), 1e-4);
  EXPECT_EQ(Summary("processes").at("bytes_sent_per_worker"), Summary("threads").at("bytes_sent_per_worker"));
  RunWell(Train("plain", {"--workers=2"}));
  EXPECT_FALSE(Summary("plain").contains("group_size"));
}

TEST_F(TrainTest, ALearningRateOfZeroLeavesTheInitialWeights) {
  RunWell(Train("alone", {"--lr=0", "--workers=1", "--sync=ssgd"}));
  RunWell(Train("processes", {"--lr=0", "--workers=4", "--sync=average"}));
  RunWell(Train("threads", {"--lr=0", "--workers=2", "--sync=pso-ps", "--backend=threads"}));
  RunWell(Train("other", {"--lr=0", "--workers=1", "--seed=1"}));
  EXPECT_TRUE(Model("alone") == Model("processes"));
  EXPECT_TRUE(Model("alone") == Model("threads"));
  EXPECT_GT(LargestDifference(Path("alone/model.safetensors"), Path("other/model.safetensors")), 1e-3);
}

TEST_F(TrainTest, EveryOptionOfTheSwarmAndTheRecipeIsTaken) {
  RunWell(Train("swarm", {"--sync=pso-ps",
                          "--velocity=swarm",
                          "--inertia=.3",
                          "--cognitive=.2",
                          "--social=.4",
                          "--random=tensor",
                          "--memory=decay",
                          "--memory-decay=.1",
                          "--final-average=3",
                          "--momentum-at-sync=reset",
                          "--fitness=probe",
                          "--lr=.02",
                          "--momentum=.9",
                          "--nesterov",
                          "--weight-decay=1e-4",
                          "--validation=20",
                          "--seed=3",
                          "--model=lenet5",
                          "--workers=2",
                          "--min-workers=2",
                          "--device=cpu"}));
  const Json config = ReadJson(Path("swarm/config.json"));
  const Json expected = {{"sync", "pso-ps"},     {"velocity", "swarm"}, {"inertia", 0.3},
                         {"cognitive", 0.2},     {"social", 0.4},       {"random", "tensor"},
                         {"memory", "decay"},    {"memory_decay", 0.1}, {"fitness", "probe"},
                         {"lr", 0.02},           {"momentum", 0.9},     {"nesterov", true},
                         {"weight_decay", 1e-4}, {"validation", 20},    {"seed", 3},
                         {"model", "lenet5"},    {"min_workers", 2},    {"device", "cpu"},
                         {"optimizer", "sgd"},   {"final_average", 3},  {"momentum_at_sync", "reset"}};
  for (const auto& [key, value] : expected.items()) EXPECT_EQ(config.at(key), value) << key;
  EXPECT_EQ(Summary("swarm").at("steps"), 18) << "180 / (2 · 10) in each of 2 epochs";
  EXPECT_TRUE(Summary("swarm").contains("validation_accuracy"));
}

TEST_F(TrainTest, TheInertiaThatIsLeftOpenIsThatOfThePeriod) {
  RunWell(Train("run", {"--sync=pso-ps", "--period=64"}));
  EXPECT_EQ(ReadJson(Path("run/config.json")).at("inertia"), 0.52);
  RunWell(Train("with-momentum", {"--sync=slowmo", "--momentum=.9", "--period=16"}));
  EXPECT_EQ(ReadJson(Path("with-momentum/config.json")).at("slow_beta"), 0.28);
}

TEST_F(TrainTest, InertiaThatChangesAndARandomGuideReachTheWorkers) {
  RunWell(Train("run", {"--sync=pso-ps", "--inertia=.8:.2", "--guide=random", "--workers=2", "--seed=3"}));
  const Json config = ReadJson(Path("run/config.json"));
  EXPECT_EQ(config.at("inertia"), "0.8:0.2");
  EXPECT_EQ(config.at("guide"), "random");
  EXPECT_EQ(config.at("final_average"), 8) << "the default of pso-ps";
  std::vector<double> inertias;
  std::istringstream lines(ReadFile(Path("run/metrics.jsonl")));
  for (std::string line; std::getline(lines, line);) {
    const Json record = Json::parse(line);
    if (record.at("event") == "exchange") inertias.push_back(record.at("inertia").at(1));
  }
  ASSERT_GE(inertias.size(), 3u);
  EXPECT_LT(inertias.front(), 0.8);
  EXPECT_GT(inertias.front(), inertias[1]);
  EXPECT_NEAR(inertias.back(), 0.2, 1e-9);
}

TEST_F(TrainTest, StepsMayStandForEpochs) {
  Arguments arguments = Train("run", {"--steps=7", "--sync=average"});
  arguments.erase(std::find(arguments.begin(), arguments.end(), "--epochs=2"));
  RunWell(arguments);
  EXPECT_EQ(Summary("run").at("steps"), 7);
  EXPECT_EQ(Summary("run").at("rounds"), 3);
  EXPECT_EQ(Summary("run").at("epochs"), 0.7);
}

TEST_F(TrainTest, QuietPrintsNothing) {
  const ToolResult result = RunWell(Train("run", {"--quiet", "--progress=plain"}));
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err, "");
}

TEST_F(TrainTest, PlainProgressTellsWhatAUserWaitsFor) {
  const ToolResult result = RunWell(Train("run", {"--progress=auto"}));  // not a terminal
  EXPECT_THAT(result.err, AllOf(HasSubstr("step 20/20"), HasSubstr("samples/s"), HasSubstr("exchange+wait"),
                                HasSubstr("left"), HasSubstr("epoch 2: train loss"), Not(HasSubstr("\r"))));
  EXPECT_THAT(result.out, AllOf(HasSubstr("training mlp on idx:"), HasSubstr("2 processes of 1 thread"),
                                HasSubstr("sent by each worker"), HasSubstr("samples/s")));
}

TEST_F(TrainTest, AnOptionThatDoesNothingIsWarnedOf) {
  const ToolResult result = RunWell(Train("run", {"--sync=pso-ps", "--cognitive=.5", "--memory=current"}));
  EXPECT_THAT(result.err, AllOf(HasSubstr("swarmsync: warning: cognitive is 0.5"), HasSubstr("'historic'")));
  EXPECT_EQ(RunWell(Train("quiet", {"--sync=pso-ps", "--cognitive=.5", "--quiet"})).err, "");
  EXPECT_THAT(RunWell(Train("alone", {"--group-period=2"})).err,
              HasSubstr("--group-period does nothing with groups of one worker; give a --group-size"));
  EXPECT_THAT(RunWell(Train("ssgd", {"--sync=ssgd", "--group-size=2", "--group-period=2"})).err,
              HasSubstr("--group-period does nothing with --sync ssgd"));
}

TEST_F(TrainTest, WithoutOutEachRunGetsADirectoryOfItsOwn) {
  Arguments arguments = Train("");
  arguments.erase(std::find_if(arguments.begin(), arguments.end(),
                               [](const std::string& argument) { return argument.rfind("--out", 0) == 0; }));
  fs::create_directory(Path("home"));
  const fs::path before = fs::current_path();
  fs::current_path(Path("home"));
  RunWell(arguments);
  RunWell(arguments);
  fs::current_path(before);
  int runs = 0;
  for (const auto& entry : fs::directory_iterator(Path("home/runs"))) {
    ++runs;
    EXPECT_TRUE(fs::exists(entry.path() / "model.safetensors"));
    EXPECT_THAT(entry.path().filename().string(), HasSubstr("pso-ps"));
  }
  EXPECT_EQ(runs, 2);
}

TEST_F(TrainTest, DivergenceEndsWithOne) {
  for (const char* backend : {"processes", "threads"}) {
    ExpectOneLine(Run(Train(backend, {"--lr=1e6", "--sync=average", std::string("--backend=") + backend})), 1,
                  {"diverged on all workers", "lower the learning rate"});
    EXPECT_FALSE(fs::exists(Path(backend) / "summary.json"));
    EXPECT_FALSE(fs::exists(Path(backend) / "model.safetensors"));
  }
}

TEST_F(TrainTest, OverwriteReplacesARunAndKeepsWhatIsNotOfIt) {
  RunWell(Train("run", {"--seed=1"}));
  const std::string first = Model("run");
  WriteBytes(Path("run/notes.txt"), "mine");
  ExpectOneLine(Run(Train("run", {"--seed=2"})), 2, {"--out", Path("run"), "not empty", "--overwrite"});
  EXPECT_TRUE(Model("run") == first) << "what is refused changes nothing";
  RunWell(Train("run", {"--seed=2", "--overwrite"}));
  EXPECT_FALSE(Model("run") == first);
  EXPECT_THAT(StrangeFiles("run"), ElementsAre("notes.txt"));
}

}  // namespace
}  // namespace swarmsync::testing
