#include "report/run_report.h"

#include <gtest/gtest.h>

#include "report/json_files.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

class RunReport : public ::testing::Test {
 protected:
  RunReport() {
    WriteJson(files_.config(), {{"dataset", "mnist"}});
    WriteJson(
        files_.summary(),
        {{"sync", "pso-ps"}, {"period", 16}, {"seed", 1}, {"workers", 4}, {"versions", Json::object()}});
    Record({{"event", "loss"}, {"step", 50}, {"epoch", 0.2}, {"loss", 1.5}});
  }

  void Record(const Json& record) { JsonLines(files_.metrics()).Append(record); }

  // The run that the page shows.
  Json Run() {
    WriteRunReport(files_);
    const std::string page = ReadFile(files_.report()), before = "id=\"report-data\">";
    const std::size_t begin = page.find(before) + before.size();
    return Json::parse(page.substr(begin, page.find("</script>", begin) - begin)).at("runs").at(0);
  }

 private:
  PrivateDirectory directory_;
  RunFiles files_{directory_.path()};
};

TEST_F(RunReport, ARunWhoseWorldNeverChangedHasNoEvents) {
  const Json none = {{"count", 0}, {"first", Json::array()}};
  const Json run = Run();
  EXPECT_EQ(run.at("losses").size(), 1u);
  EXPECT_EQ(run.at("membership"), none);
  EXPECT_EQ(run.at("failed_checkpoints"), none);
}

TEST_F(RunReport, HasWhatHappenedToItsWorkersAndCheckpoints) {
  const Json lost = {{"event", "membership"}, {"generation", 2}, {"workers", 3},   {"step", 61},
                     {"epoch", 0.8},          {"round", 4},      {"reason", "<b>"}};
  const Json failed = {{"event", "checkpoint_failed"}, {"step", 96}, {"reason", "no space"}};
  Record(lost);
  Record(failed);
  const Json run = Run();
  EXPECT_EQ(run.at("membership"), Json({{"count", 1}, {"first", Json::array({lost})}}));
  EXPECT_EQ(run.at("failed_checkpoints"), Json({{"count", 1}, {"first", Json::array({failed})}}));
}

TEST_F(RunReport, CountsAllEventsAndListsTheFirst) {
  for (int i = 0; i < 250; ++i) Record({{"event", "membership"}, {"generation", i + 2}});
  const Json events = Run().at("membership");
  EXPECT_EQ(events.at("count"), 250);
  EXPECT_EQ(events.at("first").size(), 200u);
  EXPECT_EQ(events.at("first").back().at("generation"), 201);
}

}  // namespace
}  // namespace swarmsync
