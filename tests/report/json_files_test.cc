#include "report/json_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <sstream>

#include "support/errors.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

using ::testing::HasSubstr;
using OrderedJson = nlohmann::ordered_json;
using testing::MessageOf;

class JsonFiles : public ::testing::Test {
 protected:
  std::filesystem::path Path(const std::string& name) const { return directory_.path() / name; }

  std::vector<OrderedJson> Lines(const std::string& name) const {
    std::vector<OrderedJson> lines;
    std::istringstream text(ReadFile(Path(name)));
    for (std::string line; std::getline(text, line);) lines.push_back(OrderedJson::parse(line));
    return lines;
  }

 private:
  PrivateDirectory directory_;
};

TEST_F(JsonFiles, WriteJsonReplacesTheFile) {
  WriteJson(Path("a.json"), OrderedJson{{"b", 1}, {"a", {1, 2}}});
  WriteJson(Path("a.json"), OrderedJson{{"z", 0.1}, {"a", nullptr}});
  const std::string text = ReadFile(Path("a.json"));
  EXPECT_EQ(OrderedJson::parse(text), (OrderedJson{{"z", 0.1}, {"a", nullptr}}));
  EXPECT_EQ(text, "{\n  \"z\": 0.1,\n  \"a\": null\n}\n") << "in the order in which it was made";
}

TEST_F(JsonFiles, NumbersThatAreNotFiniteBecomeNull) {
  WriteJson(Path("a.json"), OrderedJson{{"nan", std::numeric_limits<double>::quiet_NaN()},
                                 {"infinite", std::numeric_limits<double>::infinity()}});
  const OrderedJson json = OrderedJson::parse(ReadFile(Path("a.json")));
  EXPECT_TRUE(json.at("nan").is_null());
  EXPECT_TRUE(json.at("infinite").is_null());
}

TEST_F(JsonFiles, LinesAreThereAsSoonAsTheyAreAppended) {
  JsonLines lines(Path("metrics.jsonl"));
  lines.Append({{"step", 1}, {"loss", 0.5}});
  EXPECT_EQ(Lines("metrics.jsonl"), (std::vector<OrderedJson>{{{"step", 1}, {"loss", 0.5}}}));
  lines.Append({{"text", "a\nb"}});
  lines.Append({{"loss", std::numeric_limits<double>::quiet_NaN()}});
  ASSERT_EQ(Lines("metrics.jsonl").size(), 3u) << "one line each";
  EXPECT_EQ(Lines("metrics.jsonl")[1].at("text"), "a\nb");
  EXPECT_TRUE(Lines("metrics.jsonl")[2].at("loss").is_null());
}

TEST_F(JsonFiles, LinesAreAppendedToWhatIsThere) {
  JsonLines(Path("metrics.jsonl")).Append({{"step", 1}});
  JsonLines(Path("metrics.jsonl")).Append({{"step", 2}});
  EXPECT_EQ(Lines("metrics.jsonl"), (std::vector<OrderedJson>{{{"step", 1}}, {{"step", 2}}}));
}

TEST_F(JsonFiles, WhatCannotBeWrittenIsARunErrorThatNamesIt) {
  const std::string path = Path("no/such/place").string();
  EXPECT_THAT(MessageOf<RunError>([&] { WriteJson(path, {}); }), HasSubstr(path));
  EXPECT_THAT(MessageOf<RunError>([&] { JsonLines{path}; }), HasSubstr(path));
}

TEST_F(JsonFiles, AFullDiskIsARunError) {
  JsonLines lines("/dev/full");
  EXPECT_THAT(MessageOf<RunError>([&] { lines.Append({{"step", 1}}); }), HasSubstr("No space left on device"));
}

}  // namespace
}  // namespace swarmsync
