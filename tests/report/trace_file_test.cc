#include "report/trace_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

using Json = nlohmann::json;

class TraceFileTest : public ::testing::Test {
 protected:
  // The events that are no metadata, of an array that has no end.
  static std::vector<Json> EventsOf(std::string text) {
    text.erase(text.rfind(','));
    return Spans(Json::parse(text + "]"));
  }
  std::vector<Json> Merged() const {
    MergeTrace(files_);
    return Spans(Json::parse(ReadFile(files_.trace())).at("traceEvents"));
  }
  static std::vector<Json> Spans(const Json& events) {
    std::vector<Json> spans;
    for (const Json& event : events) {
      if (event.at("ph") == "X") spans.push_back(event);
    }
    return spans;
  }

  PrivateDirectory directory_;
  RunFiles files_{directory_.path()};
};

TEST_F(TraceFileTest, APartHasItsWorkersSpansInMicroseconds) {
  TraceFile part(files_, 3);
  part.Add({TraceSpan::Lane::kTraining, "compute", 1.5, 1.75, {{"step", 12}}});
  part.Add({TraceSpan::Lane::kExchange,
            "exchange 2",
            2,
            3,
            {{"round", 2}, {"fitness", std::numeric_limits<double>::quiet_NaN()}, {"bytes", 370566}}});
  part.Flush();
  const std::vector<Json> events = EventsOf(ReadFile(files_.trace_part(3)));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0],
            Json::parse(R"({"ph":"X","pid":3,"tid":0,"ts":1500000.0,"dur":250000.0,"name":"compute",
                                       "args":{"step":12}})"));
  EXPECT_EQ(events[1], Json::parse(R"({"ph":"X","pid":3,"tid":1,"ts":2000000.0,"dur":1000000.0,
                                       "name":"exchange 2","args":{"round":2,"fitness":null,"bytes":370566}})"));
}

TEST_F(TraceFileTest, PartsAreMergedToOneFileWithALaneForEachWorker) {
  for (const int worker : {0, 1, 11}) TraceFile(files_, worker).Add({{}, "compute", 1.0 + worker, 20, {}});
  const std::vector<Json> spans = Merged();
  std::set<int> workers;
  for (const Json& span : spans) workers.insert(span.at("pid").get<int>());
  EXPECT_EQ(workers, (std::set<int>{0, 1, 11}));
  std::map<int, std::string> names;
  const Json trace = Json::parse(ReadFile(files_.trace()));
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("name") == "process_name") names[event.at("pid")] = event.at("args").at("name");
  }
  EXPECT_EQ(names, (std::map<int, std::string>{{0, "worker 0"}, {1, "worker 1"}, {11, "worker 11"}}));
  EXPECT_FALSE(std::filesystem::exists(files_.trace_parts()));
}

TEST_F(TraceFileTest, AWorkerThatWasKilledLosesAtMostTheSpanThatItWrote) {
  TraceFile(files_, 0).Add({{}, "one", 1, 2, {}});
  const std::string whole = ReadFile(files_.trace_part(0));
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    std::filesystem::create_directories(files_.trace_parts());
    std::ofstream(files_.trace_part(0)) << whole.substr(0, cut);
    TraceFile(files_, 1).Add({{}, "another", 1, 2, {}});
    const std::vector<Json> spans = Merged();
    ASSERT_EQ(spans.size(), cut < whole.size() ? 1u : 2u) << "cut at " << cut;
  }
}

TEST_F(TraceFileTest, AnotherLifeOfAWorkerGoesOnBehindTheLastWholeSpan) {
  TraceFile(files_, 0).Add({{}, "one", 1, 2, {}});
  std::ofstream(files_.trace_part(0), std::ios::app) << R"({"ph":"X","pid":0,"args":{"a":1},)";
  TraceFile(files_, 0).Add({{}, "two", 3, 4, {}});
  const std::vector<Json> spans = Merged();
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(spans[0].at("name"), "one");
  EXPECT_EQ(spans[1].at("name"), "two");
}

TEST_F(TraceFileTest, ManySpansAreNotKeptInMemory) {
  TraceFile part(files_, 0);
  for (int i = 0; i < 10000; ++i) part.Add({{}, "compute", 1.0 * i, i + 0.5, {{"step", i}}});
  EXPECT_GT(std::filesystem::file_size(files_.trace_part(0)), 10000u * 60);
}

}  // namespace
}  // namespace swarmsync
