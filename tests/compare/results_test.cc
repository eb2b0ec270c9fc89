#include "compare/results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Against R: t.test(x)$conf.int, or by hand, mean ± qt(.975, n - 1) sd / sqrt(n).
TEST(EstimateMean, HasStudentsInterval) {
  const Estimate five = EstimateMean({0.90, 0.91, 0.92, 0.93, 0.94});
  EXPECT_NEAR(five.mean, 0.92, 1e-12);
  EXPECT_NEAR(five.half_width, 2.7764 * std::sqrt(0.00025 / 5), 1e-6);
  const Estimate two = EstimateMean({1, 3});
  EXPECT_NEAR(two.half_width, 12.7062, 1e-3);
  std::vector<double> many;
  for (int i = 0; i < 21; ++i) many.push_back(i % 3);
  const double deviation = std::sqrt(14.0 / 20);  // seven each of 0, 1 and 2
  EXPECT_NEAR(EstimateMean(many).half_width, 2.0860 * deviation / std::sqrt(21), 1e-3);
}

TEST(EstimateMean, OfOneHasNoIntervalAndOfNoneNoMean) {
  EXPECT_EQ(EstimateMean({0.5}).mean, 0.5);
  EXPECT_TRUE(std::isnan(EstimateMean({0.5}).half_width));
  EXPECT_TRUE(std::isnan(EstimateMean({}).mean));
}

class ResultsTest : public ::testing::Test {
 protected:
  ResultsTest() : store_(directory_.path() / "runs.jsonl") {
    options_.datasets = {"mnist"};
    options_.synchronizers = {"average", "pso-ps", "leader"};
    options_.periods = {16};
    options_.common = {{"epochs", "1"}};
    options_.final_seeds = {"1", "2", "3"};
    options_.tuning_seeds = {"101"};
    options_.validation = 50;
    Add("average", {0.90, 0.92, 0.94});
    Add("pso-ps", {0.95, 0.97, -1});
  }

  void Add(const std::string& sync, const std::vector<double>& accuracies) {
    for (const Group& group : Groups(options_)) {
      if (group.sync != sync) continue;
      const auto runs = FinalRuns(options_, group, {});
      for (std::size_t i = 0; i < accuracies.size(); ++i) {
        RunRecord record;
        record.stage = Stage::kFinal;
        record.flags = runs[i].flags;
        record.failed = accuracies[i] < 0;
        record.message = "diverged <b>, \"truly\"";
        if (!record.failed) {
          record.result = {{"test_accuracy", accuracies[i]},
                           {"bytes_sent_per_worker", 2e6},
                           {"rounds", 10},
                           {"wall_seconds", 3.5},
                           {"versions", {{"swarmsync", "x"}}}};
          record.epochs = nlohmann::ordered_json::parse(
              R"([{"event": "epoch", "epoch": 1, "train_loss": 0.5, "test": {"accuracy": 0.9, "loss": 0.2}}])");
        }
        store_.Add(record);
      }
    }
  }

  PrivateDirectory directory_;
  RunStore store_;
  CompareOptions options_;
};

TEST_F(ResultsTest, AreMeansOfTheRunsThatAreDoneBestFirst) {
  const auto results = Summarize(options_, store_);
  ASSERT_EQ(results.size(), 2u) << "leader has no runs";
  EXPECT_EQ(results[0].group.sync, "pso-ps");
  EXPECT_NEAR(results[0].accuracy.mean, 0.96, 1e-12);
  EXPECT_EQ(results[0].seeds, 3);
  EXPECT_EQ(results[0].failed, 1);
  EXPECT_EQ(results[0].bytes, 2e6);
  EXPECT_EQ(results[1].group.sync, "average");
  EXPECT_NEAR(results[1].accuracy.mean, 0.92, 1e-12);
  EXPECT_EQ(results[1].exchanges, 10);
  EXPECT_EQ(results[1].seconds, 3.5);
}

TEST_F(ResultsTest, TablesNameFailuresAndIntervals) {
  const auto results = Summarize(options_, store_);
  EXPECT_THAT(ToTerminal(options_, results), HasSubstr("92.00 ± 4.97"));
  EXPECT_THAT(ToTerminal(options_, results), HasSubstr("3 (1 failed)"));
  EXPECT_THAT(ToMarkdown(options_, results),
              HasSubstr("| mnist | 16 | average | 92.00 ± 4.97 |  | 3 | 2.0 | 10 | 3.5 |"));
  EXPECT_THAT(ToMarkdown(options_, results), HasSubstr("50 held-out training samples"));
  EXPECT_THAT(ToCsv(results), HasSubstr("\"mnist\",pso-ps,16,16,\"\",3,1,0.96,"));
}

TEST_F(ResultsTest, AreHeldAgainstTheBaselineSeedBySeed) {
  options_.baseline = "average";
  auto results = Summarize(options_, store_);
  // .95 - .90 and .97 - .92; the third seed of pso-ps failed. Two equal differences: no width.
  EXPECT_NEAR(results[0].above_baseline.mean, 0.05, 1e-12);
  EXPECT_NEAR(results[0].above_baseline.half_width, 0, 1e-12);
  EXPECT_TRUE(std::isnan(results[1].above_baseline.mean)) << "the baseline itself";
  EXPECT_THAT(ToMarkdown(options_, results),
              AllOf(HasSubstr("above average, seed by seed"), HasSubstr("| +5.00 ± 0.00 |")));
  EXPECT_THAT(ToTerminal(options_, results), AllOf(HasSubstr("above average"), HasSubstr("+5.00 ± 0.00")));
  EXPECT_THAT(ToCsv(results), HasSubstr("half_width_95\n\"mnist\",pso-ps"));
  EXPECT_EQ(ToReport(options_, results).at("baseline"), "average");

  options_.baseline = "pso-ps";
  results = Summarize(options_, store_);
  EXPECT_TRUE(std::isnan(results[0].above_baseline.mean));
  EXPECT_THAT(ToMarkdown(options_, results), HasSubstr("| -5.00 ± 0.00 |"));
}

TEST_F(ResultsTest, SsgdIsTheBaselineOfEveryPeriod) {
  options_.synchronizers = {"ssgd", "average"};
  options_.periods = {4, 16};
  options_.baseline = "ssgd";
  Add("ssgd", {0.91, 0.91, 0.94});
  Add("average", {0.90, 0.92, 0.94});
  for (const GroupResult& result : Summarize(options_, store_)) {
    if (result.group.sync != "average") continue;
    EXPECT_NEAR(result.above_baseline.mean, 0, 1e-12) << result.group.period;
  }
  options_.baseline = "average";
  EXPECT_TRUE(std::isnan(Summarize(options_, store_).front().above_baseline.mean)) << "ssgd, of no period";
  options_.periods = {16};
  for (const GroupResult& result : Summarize(options_, store_)) {
    EXPECT_EQ(std::isnan(result.above_baseline.mean), result.group.sync == "average") << "one period only";
  }
}

TEST_F(ResultsTest, OfRunsThatAllFailedHaveNoAccuracy) {
  Add("leader", {-1, -1, -1});
  const auto results = Summarize(options_, store_);
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[2].group.sync, "leader");
  EXPECT_THAT(ToTerminal(options_, results), HasSubstr("failed"));
  const auto report = ToReport(options_, results);
  EXPECT_TRUE(report.at("groups")[2].at("accuracy").is_null());
}

TEST_F(ResultsTest, TheReportHasEveryRunAndGroup) {
  const auto report = ToReport(options_, Summarize(options_, store_));
  EXPECT_EQ(report.at("kind"), "compare");
  EXPECT_EQ(report.at("groups").size(), 2u);
  ASSERT_EQ(report.at("runs").size(), 6u);
  EXPECT_EQ(report.at("runs")[0].at("epochs")[0].at("test_accuracy"), 0.9);
  EXPECT_EQ(report.at("runs")[2].at("status"), "failed");
  EXPECT_EQ(report.at("versions").at("swarmsync"), "x");
}

}  // namespace
}  // namespace swarmsync
