#include "report/event_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "report/event_reader.h"
#include "support/errors.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/report/run_files.h"

namespace swarmsync {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Json = nlohmann::json;
using testing::MessageOf;
using testing::ReadEvents;

class EventFileTest : public ::testing::Test {
 protected:
  const std::filesystem::path& Directory() const { return directory_.path(); }

 private:
  PrivateDirectory directory_;
};

TEST(Crc32cTest, HasTheValuesOfTheStandard) {  // RFC 3720, B.4, and the check value of the polynomial
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(Crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
  EXPECT_EQ(Crc32c(""), 0u);
}

TEST_F(EventFileTest, AnIndependentReaderFindsWhatWasWritten) {
  EventFile file(Directory());
  file.Scalars(3, {{"train/loss", 0.5}, {"train/learning_rate", 0.125}});
  file.Scalars(std::int64_t{1} << 40, {{"train/loss", std::numeric_limits<double>::quiet_NaN()},
                                       {"bytes", -std::numeric_limits<double>::infinity()}});
  file.Text("config/text_summary", 7, "| a | b |\nü");
  file.GoOnAfter(41);
  const std::vector<Json> events = ReadEvents({file.path()});
  ASSERT_EQ(events.size(), 5u);
  EXPECT_EQ(events[0].at("version"), "brain.Event:2");
  EXPECT_EQ(events[1].at("step"), 3);
  EXPECT_EQ(events[1].at("values"), (Json{{"train/loss", 0.5}, {"train/learning_rate", 0.125}}));
  EXPECT_EQ(events[2].at("step"), std::int64_t{1} << 40);
  EXPECT_EQ(events[2].at("values"), (Json{{"train/loss", "nan"}, {"bytes", "-inf"}}));
  EXPECT_EQ(events[3].at("values"), (Json{{"config/text_summary", "| a | b |\nü"}}));
  EXPECT_EQ(events[4].at("session"), 1);
  EXPECT_EQ(events[4].at("step"), 42) << "what is void begins behind it";
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  for (const Json& event : events) EXPECT_NEAR(event.at("wall_time"), now, 60);
}

TEST_F(EventFileTest, TheReaderOfTheTestsSeesADamagedByte) {
  EventFile file(Directory());
  file.Scalars(1, {{"loss", 0.5}});
  const std::string whole = ReadFile(file.path());
  for (const std::size_t at : {std::size_t{0}, std::size_t{9}, whole.size() - 9, whole.size() - 1}) {
    std::string damaged = whole;
    damaged[at] ^= 1;
    WriteFileAtomically(file.path(), damaged);
    testing::ChildProcess reader(
        {SWARMSYNC_PYTHON, "-B", SWARMSYNC_SOURCE_DIR "/tests/report/read_events.py", file.path().string()});
    EXPECT_NE(reader.Wait(), 0) << "byte " << at << "; the line above says the same";
  }
}

TEST_F(EventFileTest, NamesSortInTheOrderOfTheFilesHoweverFastTheyAreMade) {
  std::ofstream(Directory() / "events.out.tfevents.9000000000.elsewhere.1");
  std::vector<std::filesystem::path> made{Directory() / "events.out.tfevents.9000000000.elsewhere.1"};
  for (int i = 0; i < 3; ++i) made.push_back(EventFile(Directory()).path());
  EXPECT_EQ(RunFiles{Directory()}.events(), made);
  for (const auto& path : made)
    EXPECT_THAT(path.filename().string(), StartsWith("events.out.tfevents.90000000"));
}

TEST_F(EventFileTest, AnEventIsThereAsSoonAsItIsWritten) {
  EventFile file(Directory());
  const std::uintmax_t before = file.size();
  file.Scalars(1, {{"a", 1}});
  EXPECT_GT(file.size(), before);
  EXPECT_EQ(ReadEvents({file.path()}).size(), 2u);
}

TEST_F(EventFileTest, WhatCannotBeWrittenIsARunErrorThatNamesIt) {
  EXPECT_THAT(MessageOf<RunError>([] { GrowingFile("/no/such/place"); }), HasSubstr("/no/such/place"));
  GrowingFile full("/dev/full");
  EXPECT_THAT(MessageOf<RunError>([&] { full.Append("x"); }), HasSubstr("No space left on device"));
}

}  // namespace
}  // namespace swarmsync
