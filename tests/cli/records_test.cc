// Traces and TensorBoard's files of whole runs.

#include <gtest/gtest.h>

#include "cli/tool.h"
#include "report/event_reader.h"
#include "support/child_process.h"
#include "swarmsync/report/run_files.h"

namespace swarmsync::testing {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

class RecordsTest : public ToolTest {
 protected:
  void ExpectATrace(const std::string& out, const Arguments& flags) const {
    RunWell(Train(out, Arguments{"--trace", "--log-every=5"} + flags));
    EXPECT_EQ(StrangeFiles(out), std::vector<std::string>());
    ChildProcess checker(
        {SWARMSYNC_PYTHON, "-B", SWARMSYNC_SOURCE_DIR "/tests/cli/check_trace.py", Path(out).string()});
    EXPECT_EQ(checker.Wait(), 0) << "it said why";
  }

  auto SeriesIn(const std::string& out) const { return SeriesOf(ReadEvents(RunFiles{Path(out)}.events())); }
};

TEST_F(RecordsTest, TheTraceOfProcessesSaysWhatTheSummarySays) {
  ExpectATrace("run", {"--workers=3", "--sync=pso-ps"});
}

TEST_F(RecordsTest, TheTraceOfThreadsSaysWhatTheSummarySays) {
  ExpectATrace("run", {"--backend=threads", "--sync=average"});
}

TEST_F(RecordsTest, AnExchangeBesideTheTrainingHasALaneOfItsOwn) {
  ExpectATrace("run", {"--overlap=2", "--sync=average", "--link=100mbit,2ms"});
}

TEST_F(RecordsTest, GradientsAreExchangedInEveryStep) { ExpectATrace("run", {"--sync=ssgd"}); }

TEST_F(RecordsTest, WithoutTheFlagThereIsNoTrace) {
  RunWell(Train("run"));
  EXPECT_FALSE(fs::exists(Path("run/trace.json")));
  EXPECT_FALSE(fs::exists(Path("run/trace")));
}

TEST_F(RecordsTest, AWorkerThatIsKilledLeavesItsPartOfTheTrace) {
  const Arguments flags = Arguments{"--trace", "--steps=400", "--workers=3", "--sync=average"};
  Arguments arguments = Train("killed", flags);
  arguments.erase(std::find(arguments.begin(), arguments.end(), "--epochs=2"));
  EXPECT_EQ(Run(arguments, {{"SWARMSYNC_FAULTS", "1:kill@30"}}).exit_code, 0);
  const Json trace = ReadJson(Path("killed/trace.json"));
  std::set<int> workers;
  for (const Json& event : trace.at("traceEvents")) workers.insert(event.at("pid").get<int>());
  EXPECT_EQ(workers, (std::set<int>{0, 1, 2}));
}

TEST_F(RecordsTest, TensorBoardSeesWhatTheRecordsSay) {
  RunWell(Train("run", {"--sync=pso-ps", "--log-every=5", "--validation=20"}));
  auto series = SeriesIn("run");
  std::size_t losses = 0, exchanges = 0;
  for (const Json& record : ReadJsonLines(Path("run/metrics.jsonl"))) {
    const std::int64_t step = record.at("step");
    const auto near = [&](const std::string& tag, const Json& value) {
      EXPECT_NEAR(series.at(tag).at(step).get<double>(), value.get<double>(),
                  1e-6 * std::abs(value.get<double>()))
          << tag << " of step " << step;
    };
    if (record.at("event") == "loss") {
      ++losses;
      near("train/loss", record.at("loss"));
      near("train/learning_rate", record.at("lr"));
    } else if (record.at("event") == "exchange") {
      ++exchanges;
      near("exchange/spread", record.at("spread"));
      near("fitness/worker_1", record.at("fitness").at(1));
    } else if (record.at("event") == "epoch") {
      near("train/epoch_loss", record.at("train_loss"));
      near("validation/accuracy", record.at("validation").at("accuracy"));
    }
  }
  EXPECT_EQ(series.at("train/loss").size(), losses);
  EXPECT_EQ(series.at("exchange/spread").size(), exchanges);
  const Json summary = ReadJson(Path("run/summary.json"));
  EXPECT_NEAR(series.at("hparam/test_accuracy").at(summary.at("steps")).get<double>(),
              summary.at("test_accuracy").get<double>(), 1e-6);
  const Json parameters = series.at("_hparams_/session_start_info").at(0);
  EXPECT_EQ(parameters.at("sync"), "pso-ps");
  EXPECT_EQ(parameters.at("period"), 3);
  EXPECT_FALSE(parameters.contains("out")) << "no result depends on it";
  EXPECT_EQ(series.at("_hparams_/session_end_info").at(0).at("status"), 1);
}

TEST_F(RecordsTest, ARunThatWasStoppedGoesOnInTensorBoardAsIfItHadNotBeen) {
  const Arguments flags{"--sync=average", "--log-every=1", "--checkpoint-every=1", "--min-workers=2"};
  RunWell(Train("whole", flags));
  // Early in its second epoch: the exchanges of the first are recorded, and were not yet in the checkpoint.
  EXPECT_EQ(Run(Train("run", flags), {{"SWARMSYNC_FAULTS", "0:kill@27"}}).exit_code, 4);
  ASSERT_EQ(RunFiles{Path("run")}.events().size(), 1u);
  fs::copy(Path("run"), Path("elsewhere"), fs::copy_options::recursive);
  RunWell({"train", "--resume=" + Path("run").string(), "--progress=none"});
  RunWell({"train", "--resume=" + Path("elsewhere").string(), "--out=" + Path("other").string(),
           "--progress=none"});
  auto whole = SeriesIn("whole"), resumed = SeriesIn("run"), other = SeriesIn("other");
  for (const char* tag : {"train/loss", "exchange/spread", "test/accuracy", "hparam/test_accuracy"}) {
    EXPECT_EQ(resumed.at(tag), whole.at(tag)) << tag;
    EXPECT_EQ(other.at(tag), whole.at(tag)) << tag;
  }
  EXPECT_EQ(RunFiles{Path("run")}.events().size(), 2u);
}

TEST_F(RecordsTest, OverwriteRemovesTheEventsOfTheEarlierRun) {
  RunWell(Train("run"));
  const auto before = RunFiles{Path("run")}.events();
  RunWell(Train("run", {"--overwrite"}));
  const auto after = RunFiles{Path("run")}.events();
  ASSERT_EQ(after.size(), 1u);
  EXPECT_NE(after, before);
}

}  // namespace
}  // namespace swarmsync::testing
