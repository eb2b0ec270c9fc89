#include "report/run_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "report/event_reader.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

using ::testing::HasSubstr;
using OrderedJson = nlohmann::ordered_json;
using testing::ReadEvents;
using testing::SeriesOf;

class RunEventsTest : public ::testing::Test {
 protected:
  RunEvents Begin() const {
    return RunEvents(
        files_, {{"sync", "pso-ps"}, {"lr", 0.1}, {"out", "a|b"}, {"worker_lr", {0.1, 0.2}}},
        {{"sync", "pso-ps"}, {"lr", 0.1}, {"guard", true}, {"beta", nullptr}, {"worker_lr", {1, 2}}});
  }
  auto Series() const { return SeriesOf(ReadEvents(files_.events())); }

  PrivateDirectory directory_;
  RunFiles files_{directory_.path()};
};

TEST_F(RunEventsTest, ARunBeginsWithItsConfigurationAndItsHyperparameters) {
  Begin();
  auto series = Series();
  EXPECT_EQ(series.at("config/text_summary").at(0),
            "| flag | value |\n| --- | --- |\n| sync | pso-ps |\n| lr | 0.1 |\n| out | a\\|b |\n"
            "| worker_lr | 0.1,0.2 |\n");
  EXPECT_EQ(
      series.at("_hparams_/session_start_info").at(0),
      (nlohmann::json{{"beta", ""}, {"guard", true}, {"lr", 0.1}, {"sync", "pso-ps"}, {"worker_lr", "1,2"}}));
  EXPECT_EQ(series.size(), 2u) << "not begun yet, and not ended";
}

TEST_F(RunEventsTest, NumbersOfTheRecordsBecomeScalarsOfTheirStep) {
  RunEvents events = Begin();
  events.Append({{"event", "loss"}, {"step", 4}, {"epoch", 0.5}, {"loss", 2.5}, {"lr", 0.25}});
  events.Append({{"event", "epoch"},
                 {"step", 10},
                 {"epoch", 1.0},
                 {"train_loss", 1.5},
                 {"validation", {{"accuracy", 0.5}, {"loss", 1.25}, {"samples", 10}}},
                 {"test", {{"accuracy", 0.75}, {"loss", 0.875}, {"samples", 20}}}});
  events.Append({{"event", "exchange"},
                 {"step", 6},
                 {"epoch", 0.6},
                 {"round", 2},
                 {"fitness", {2, 1.5}},
                 {"best", 1},
                 {"improvement", 0.5},
                 {"spread", 3},
                 {"displacement", 4},
                 {"pull", 5},
                 {"move", 6},
                 {"left_out", {0}},
                 {"bytes", 370566.0},
                 {"seconds", 0.0625},
                 {"inertia", {0.5, 0.75}}});
  events.Append({{"event", "membership"}, {"step", 12}, {"workers", 3}, {"reason", "lost"}});
  events.Append({{"event", "checkpoint_failed"}, {"step", 12}, {"reason", "full"}});
  auto series = Series();
  series.erase("config/text_summary");
  series.erase("_hparams_/session_start_info");
  const std::map<std::string, std::map<std::int64_t, nlohmann::json>> expected{
      {"train/loss", {{4, 2.5}}},
      {"train/learning_rate", {{4, 0.25}}},
      {"train/epoch_loss", {{10, 1.5}}},
      {"validation/accuracy", {{10, 0.5}}},
      {"validation/loss", {{10, 1.25}}},
      {"test/accuracy", {{10, 0.75}}},
      {"test/loss", {{10, 0.875}}},
      {"exchange/best", {{6, 1.0}}},
      {"exchange/improvement", {{6, 0.5}}},
      {"exchange/spread", {{6, 3.0}}},
      {"exchange/displacement", {{6, 4.0}}},
      {"exchange/pull", {{6, 5.0}}},
      {"exchange/move", {{6, 6.0}}},
      {"exchange/bytes", {{6, 370566.0}}},
      {"exchange/seconds", {{6, 0.0625}}},
      {"exchange/left_out", {{6, 1.0}}},
      {"fitness/worker_0", {{6, 2.0}}},
      {"fitness/worker_1", {{6, 1.5}}},
      {"inertia/worker_0", {{6, 0.5}}},
      {"inertia/worker_1", {{6, 0.75}}},
      {"membership/workers", {{12, 3.0}}}};
  EXPECT_EQ(series, expected);
}

TEST_F(RunEventsTest, ARunEndsWithItsResults) {
  Begin().Finish({{"steps", 20}, {"test_accuracy", 0.5}, {"test_loss", nullptr}, {"wall_seconds", 2.5}});
  auto series = Series();
  EXPECT_EQ(series.at("hparam/test_accuracy").at(20), 0.5);
  EXPECT_EQ(series.at("hparam/wall_seconds").at(20), 2.5);
  EXPECT_EQ(series.count("hparam/test_loss"), 0u) << "it is no number";
  EXPECT_EQ(series.at("_hparams_/session_end_info").at(0), (nlohmann::json{{"status", 1}}));
}

TEST_F(RunEventsTest, WhoGoesOnForgetsWhatIsBehindThePosition) {
  const auto loss = [](std::int64_t step, double loss) {
    return OrderedJson{{"event", "loss"}, {"step", step}, {"loss", loss}, {"lr", 0.1}};
  };
  std::string position;
  {
    RunEvents first = Begin();
    first.Append(loss(1, 1));
  }
  {
    RunEvents second = Begin();
    second.Append(loss(2, 2));
    position = second.position();
    second.Append(loss(3, 3));
    Begin().Append(loss(4, 4));
  }
  RunEvents third = Begin();
  third.ForgetTheRest(position);
  third.GoOnAfter(2);
  third.Append(loss(3, 30));
  EXPECT_EQ(files_.events().size(), 3u);
  const std::map<std::int64_t, nlohmann::json> expected{{1, 1.0}, {2, 2.0}, {3, 30.0}};
  EXPECT_EQ(Series().at("train/loss"), expected);

  RunEvents anew = Begin();
  anew.ForgetTheRest("");
  EXPECT_EQ(files_.events().size(), 1u) << "no checkpoint, so from the beginning";
  EXPECT_EQ(Series().count("train/loss"), 0u);
}

}  // namespace
}  // namespace swarmsync
