#include "report/run_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "report/json_files.h"
#include "support/errors.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

using ::testing::HasSubstr;
using testing::MessageOf;
using OrderedJson = nlohmann::ordered_json;

class RunReportTest : public ::testing::Test {
 protected:
  RunReportTest() : files_{directory_.path()} { Write(Config(), Summary(), ""); }

  static OrderedJson Config() { return {{"dataset", "mnist"}}; }
  static OrderedJson Summary() {
    return {
        {"sync", "average"}, {"period", 4}, {"seed", 1}, {"workers", 2}, {"versions", OrderedJson::object()}};
  }
  void Write(const OrderedJson& config, const OrderedJson& summary, const std::string& metrics) const {
    WriteFileAtomically(files_.config(), config.dump());
    WriteFileAtomically(files_.summary(), summary.dump());
    WriteFileAtomically(files_.metrics(), metrics);
  }
  void Record(const OrderedJson& record) const { JsonLines(files_.metrics()).Append(record); }

  // The run that the page shows.
  OrderedJson Run() const {
    WriteRunReport(files_);
    const std::string page = ReadFile(files_.report()), before = "id=\"report-data\">";
    const std::size_t begin = page.find(before) + before.size();
    return OrderedJson::parse(page.substr(begin, page.find("</script>", begin) - begin)).at("runs").at(0);
  }

  void ExpectRefused(const std::string& expected) const {
    EXPECT_THAT(MessageOf<DataError>([&] { WriteRunReport(files_); }), HasSubstr(expected));
  }

  PrivateDirectory directory_;
  const RunFiles files_;
};

TEST_F(RunReportTest, IsWrittenOfWhatThereIs) {
  WriteRunReport(files_);
  EXPECT_THAT(ReadFile(files_.report()), HasSubstr("average on mnist, 2 workers"));
}

TEST_F(RunReportTest, OfAWorldThatNeverChangedHasNoEvents) {
  Record({{"event", "loss"}, {"step", 50}, {"epoch", 0.2}, {"loss", 1.5}});
  const OrderedJson none = {{"count", 0}, {"first", OrderedJson::array()}};
  const OrderedJson run = Run();
  EXPECT_EQ(run.at("losses").size(), 1u);
  EXPECT_EQ(run.at("membership"), none);
  EXPECT_EQ(run.at("failed_checkpoints"), none);
}

TEST_F(RunReportTest, HasWhatHappenedToItsWorkersAndCheckpoints) {
  const OrderedJson lost = {{"event", "membership"}, {"generation", 2}, {"workers", 3},   {"step", 61},
                            {"epoch", 0.8},          {"round", 4},      {"reason", "<b>"}};
  const OrderedJson failed = {{"event", "checkpoint_failed"}, {"step", 96}, {"reason", "no space"}};
  Record(lost);
  Record(failed);
  const OrderedJson run = Run();
  EXPECT_EQ(run.at("membership"), OrderedJson({{"count", 1}, {"first", OrderedJson::array({lost})}}));
  EXPECT_EQ(run.at("failed_checkpoints"),
            OrderedJson({{"count", 1}, {"first", OrderedJson::array({failed})}}));
}

TEST_F(RunReportTest, CountsAllEventsAndListsTheFirst) {
  for (int i = 0; i < 250; ++i) Record({{"event", "membership"}, {"generation", i + 2}});
  const OrderedJson events = Run().at("membership");
  EXPECT_EQ(events.at("count"), 250);
  EXPECT_EQ(events.at("first").size(), 200u);
  EXPECT_EQ(events.at("first").back().at("generation"), 201);
}

TEST_F(RunReportTest, PartsThatAreMissingAreLeftOut) {
  const OrderedJson epochs =
      OrderedJson::parse(R"([{"epoch":1},3,{"test":7},{"epoch":2,"test":{"loss":0.5}}])");
  const OrderedJson run = RunForReport(OrderedJson::object(), epochs, OrderedJson::array());
  EXPECT_EQ(run.at("epochs"), OrderedJson::parse(R"([{"epoch":1},{},{},{"epoch":2,"test_loss":0.5}])"));
}

TEST_F(RunReportTest, FilesOfNoFinishedRunAreDataErrors) {
  Write(OrderedJson::object(), Summary(), "");
  ExpectRefused("config.json is not of a finished run");
  for (const char* key : {"sync", "period", "seed", "workers", "versions"}) {
    OrderedJson summary = Summary();
    summary.erase(key);
    Write(Config(), summary, "");
    ExpectRefused("summary.json");
  }
  for (const OrderedJson& summary :
       {OrderedJson(), OrderedJson(3), OrderedJson::array(), OrderedJson({{"sync", 1}})}) {
    Write(Config(), summary, "");
    ExpectRefused("summary.json");
  }
}

TEST_F(RunReportTest, RecordsThatAreNoneAreDataErrors) {
  for (const std::string metrics : {"{", "[]", "{}", "{\"event\":1}", "\n"}) {
    Write(Config(), Summary(), metrics + "\n");
    ExpectRefused("metrics.jsonl");
  }
}

TEST_F(RunReportTest, BracketsWithoutAnEndAreDataErrors) {
  const std::string deep(1'000'000, '[');
  WriteFileAtomically(files_.metrics(), deep);
  ExpectRefused("nested too deep");
  WriteFileAtomically(files_.summary(), deep);
  ExpectRefused("nested too deep");
}

}  // namespace
}  // namespace swarmsync
