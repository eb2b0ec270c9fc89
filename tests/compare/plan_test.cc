#include "compare/plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <set>

namespace swarmsync {
namespace {

// Makes the runs of a group until its plan is complete, with an accuracy that `accuracy` gives for a setting.
// Result: the runs in the order in which they were made.
class Runner {
 public:
  explicit Runner(CompareOptions options, std::function<double(const Flags&)> accuracy)
      : options_(std::move(options)), accuracy_(std::move(accuracy)) {}

  std::vector<PlannedRun> Make(const Group& group) {
    std::vector<PlannedRun> made;
    for (GroupPlan plan; !(plan = Plan(group)).missing.empty();) {
      made.push_back(plan.missing.front());
      EXPECT_TRUE(known_.emplace(made.back().flags, accuracy_(made.back().flags)).second) << "made twice";
      if (made.size() > 1000) ADD_FAILURE() << "no end";
      if (made.size() > 1000) break;
    }
    return made;
  }
  GroupPlan Plan(const Group& group) const {
    return PlanGroup(options_, group, [this](const Flags& flags) -> std::optional<double> {
      const auto found = known_.find(flags);
      return found == known_.end() ? std::nullopt : std::optional<double>(found->second);
    });
  }

 private:
  CompareOptions options_;
  std::function<double(const Flags&)> accuracy_;
  std::map<Flags, double> known_;
};

CompareOptions Options() {
  CompareOptions options;
  options.datasets = {"mnist"};
  options.synchronizers = {"average"};
  options.periods = {16};
  options.axes = {{"lr", {"0.1", "0.2", "0.4"}, "", true}};
  options.common = {{"workers", "4"}, {"batch-size", "10"}, {"epochs", "3"}};
  options.tuning_seeds = {"101", "102"};
  options.final_seeds = {"1", "2", "3"};
  options.validation = 50;
  options.extensions = 6;
  return options;
}

double Number(const Flags& flags, const char* name) { return std::stod(flags.at(name)); }

// Best where lr is `best`.
auto Peak(double best) {
  return [best](const Flags& flags) { return 1 / (1 + std::abs(std::log(Number(flags, "lr") / best))); };
}

std::set<std::string> Tried(const std::vector<PlannedRun>& runs, const char* name) {
  std::set<std::string> tried;
  for (const PlannedRun& run : runs) tried.insert(run.flags.at(name));
  return tried;
}

TEST(Plan, TunesOnHeldOutSamplesThenRunsTheFinalSeedsWithTheChosenSetting) {
  const CompareOptions options = Options();
  Runner runner(options, Peak(0.2));
  const Group group = Groups(options).at(0);
  const auto runs = runner.Make(group);
  ASSERT_EQ(runs.size(), 3u * 2 + 3);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Flags& flags = runs[i].flags;
    EXPECT_EQ(runs[i].stage, i < 6 ? Stage::kTune : Stage::kFinal);
    EXPECT_EQ(flags.count("validation"), i < 6 ? 1u : 0u) << "final runs train on all samples";
    EXPECT_EQ(flags.at("dataset"), "mnist");
    EXPECT_EQ(flags.at("sync"), "average");
    EXPECT_EQ(flags.at("period"), "16");
    EXPECT_EQ(flags.at("epochs"), "3");
    if (i >= 6) {
      EXPECT_EQ(flags.at("lr"), "0.2");
      EXPECT_EQ(flags.at("seed"), std::to_string(i - 5));
    }
  }
  const GroupPlan plan = runner.Plan(group);
  EXPECT_EQ(plan.chosen, (Flags{{"lr", "0.2"}}));
  EXPECT_EQ(plan.chosen_score, 1);
}

TEST(Plan, ExtendsAGridWhoseBestLiesAtItsEdge) {
  const CompareOptions options = Options();
  const Group group = Groups(options).at(0);
  EXPECT_EQ(Tried(Runner(options, Peak(0.2)).Make(group), "lr"),
            (std::set<std::string>{"0.1", "0.2", "0.4"}));
  // Until the one beyond the best is known.
  EXPECT_EQ(Tried(Runner(options, Peak(0.8)).Make(group), "lr"),
            (std::set<std::string>{"0.1", "0.2", "0.4", "0.8", "1.6"}));
  EXPECT_EQ(Tried(Runner(options, Peak(0.05)).Make(group), "lr"),
            (std::set<std::string>{"0.025", "0.05", "0.1", "0.2", "0.4"}));
}

TEST(Plan, ExtendsNoFurtherThanItMay) {
  CompareOptions options = Options();
  options.extensions = 1;
  const Group group = Groups(options).at(0);
  EXPECT_EQ(Tried(Runner(options, Peak(100)).Make(group), "lr"),
            (std::set<std::string>{"0.1", "0.2", "0.4", "0.8"}));
  options.extensions = 6;
  options.allowed = [](const Flags& setting) { return Number(setting, "lr") < 1; };
  EXPECT_EQ(Tried(Runner(options, Peak(100)).Make(group), "lr"),
            (std::set<std::string>{"0.1", "0.2", "0.4", "0.8"}));
}

TEST(Plan, ExtendsOptionsByTheirDifferenceWithTheOtherValuesOfTheBest) {
  CompareOptions options = Options();
  options.synchronizers = {"slowmo"};
  options.axes.push_back({"slow-beta", {"0.3", "0.5", "0.7"}, "", true});
  Runner runner(options, [](const Flags& flags) {
    return 1 - std::abs(Number(flags, "lr") - 0.2) - std::abs(Number(flags, "slow-beta") - 0.9);
  });
  options.allowed = [](const Flags& setting) { return Number(setting, "slow-beta") < 1; };
  const auto runs = runner.Make(Groups(options).at(0));
  std::vector<Flags> beyond;
  for (const PlannedRun& run : runs) {
    if (run.stage == Stage::kTune && Number(run.flags, "slow-beta") > 0.7) beyond.push_back(run.setting);
  }
  ASSERT_GE(beyond.size(), 2u);
  EXPECT_EQ(beyond[0], (Flags{{"lr", "0.2"}, {"slow-beta", "0.9"}}));
  EXPECT_EQ(runner.Plan(Groups(options).at(0)).chosen->at("slow-beta"), "0.9");
}

TEST(Plan, TakesTheBestFewOfTheFirstTuningSeedToTheOthers) {
  CompareOptions options = Options();
  options.axes[0].values = {"0.1", "0.2", "0.4", "0.8"};
  options.tuning_seeds = {"101", "102", "103"};
  options.finalists = 2;
  // The first seed likes 0.2 best and 0.4 next, the others 0.4; 0.1 would be the best of these, unasked.
  const std::map<std::string, std::vector<double>> scores = {
      {"0.1", {0.1, 0.9}}, {"0.2", {0.8, 0.3}}, {"0.4", {0.7, 0.6}}, {"0.8", {0.5, 0.5}}};
  Runner runner(options, [&](const Flags& flags) {
    return scores.at(flags.at("lr"))[flags.at("seed") == "101" ? 0 : 1];
  });
  const Group group = Groups(options).at(0);
  std::vector<std::string> tuned;
  for (const PlannedRun& run : runner.Make(group)) {
    if (run.stage == Stage::kTune) tuned.push_back(run.flags.at("lr") + " " + run.flags.at("seed"));
  }
  EXPECT_EQ(tuned, (std::vector<std::string>{"0.1 101", "0.2 101", "0.4 101", "0.8 101",  //
                                             "0.2 102", "0.2 103", "0.4 102", "0.4 103"}));
  EXPECT_EQ(runner.Plan(group).chosen, (Flags{{"lr", "0.4"}}));
  EXPECT_NEAR(runner.Plan(group).chosen_score, (0.7 + 0.6 + 0.6) / 3, 1e-12);
}

TEST(Plan, ASettingThatFailedIsNoFinalist) {
  CompareOptions options = Options();
  options.finalists = 3;
  const Group group = Groups(options).at(0);
  const auto seconds = [&](const std::function<double(const Flags&)>& accuracy) {
    std::set<std::string> lrs;
    for (const PlannedRun& run : Runner(options, accuracy).Make(group)) {
      if (run.flags.at("seed") == "102") lrs.insert(run.flags.at("lr"));
    }
    return lrs;
  };
  EXPECT_EQ(seconds([](const Flags& flags) { return flags.at("lr") == "0.2" ? 0.5 : -1; }),
            (std::set<std::string>{"0.2"}));
  EXPECT_EQ(seconds([](const Flags&) { return -1.0; }).size(), 1u) << "somebody must go on";
}

TEST(Plan, CountsTheRunsThatAreSureToFollow) {
  CompareOptions options = Options();
  options.finalists = 2;
  Runner runner(options, Peak(0.2));
  const Group group = Groups(options).at(0);
  const GroupPlan plan = runner.Plan(group);
  EXPECT_EQ(plan.missing.size(), 3u);
  EXPECT_EQ(plan.later, 2 + 3) << "the finalists with the second seed, then the final seeds";
  runner.Make(group);
  EXPECT_EQ(runner.Plan(group).later, 0);
}

TEST(Plan, ExtendsTheGridBeforeItChoosesTheFinalists) {
  CompareOptions options = Options();
  options.finalists = 1;
  const auto runs = Runner(options, Peak(0.8)).Make(Groups(options).at(0));
  std::set<std::string> second;
  for (const PlannedRun& run : runs) {
    if (run.flags.at("seed") == "102") second.insert(run.flags.at("lr"));
  }
  EXPECT_EQ(second, (std::set<std::string>{"0.8"}));
}

TEST(Plan, ExtendsTheGridOfEachMomentumByItself) {
  CompareOptions options = Options();
  options.axes.push_back({"momentum", {"0", "0.9"}, "", true});
  // With momentum the best rate is a tenth, and the best of all lies there.
  Runner runner(options, [](const Flags& flags) {
    const bool momentum = flags.at("momentum") == "0.9";
    return Peak(momentum ? 0.025 : 0.2)(flags) - (momentum ? 0 : 0.1);
  });
  const Group group = Groups(options).at(0);
  std::map<std::string, std::set<std::string>> tried;
  for (const PlannedRun& run : runner.Make(group)) {
    if (run.stage == Stage::kTune) tried[run.flags.at("momentum")].insert(run.flags.at("lr"));
  }
  EXPECT_EQ(tried["0"], (std::set<std::string>{"0.1", "0.2", "0.4"}));
  EXPECT_EQ(tried["0.9"], (std::set<std::string>{"0.0125", "0.025", "0.05", "0.1", "0.2", "0.4"}));
  EXPECT_EQ(runner.Plan(group).chosen, (Flags{{"lr", "0.025"}, {"momentum", "0.9"}}));
}

TEST(Plan, DoesNotExtendWhatIsNoMeasure) {
  CompareOptions options = Options();
  options.axes = {{"epochs", {"1", "2", "3"}, "", false}};
  options.common.erase("epochs");
  const auto runs = Runner(options, [](const Flags& flags) {
                      return Number(flags, "epochs") / 10;
                    }).Make(Groups(options).at(0));
  EXPECT_EQ(Tried(runs, "epochs"), (std::set<std::string>{"1", "2", "3"}));
}

TEST(Plan, DoesNotExtendAnAxisOfTwo) {
  CompareOptions options = Options();
  options.axes = {{"lr", {"0.1", "0.2", "0.4"}, "", true}, {"momentum", {"0", "0.9"}, "", true}};
  const auto runs = Runner(options, Peak(0.2)).Make(Groups(options).at(0));
  EXPECT_EQ(Tried(runs, "momentum"), (std::set<std::string>{"0", "0.9"}));
}

TEST(Plan, AsksEachSynchronizerForItsOwnOptionsOnly) {
  CompareOptions options = Options();
  options.synchronizers = {"average", "slowmo", "pso-ps", "leader"};
  options.axes = {{"lr", {"0.1", "0.2"}, ""},
                  {"slow-beta", {"0.3", "0.5"}, ""},
                  {"inertia", {"0.5", "0.7"}, ""},
                  {"social", {"0.1", "0.2", "0.3"}, "leader"}};
  const auto settings = [&](const std::string& sync) {
    for (const Group& group : Groups(options)) {
      if (group.sync != sync) continue;
      std::set<Flags> found;
      const Outcomes none = [](const Flags&) { return std::nullopt; };
      for (const PlannedRun& run : PlanGroup(options, group, none).missing) found.insert(run.setting);
      return found;
    }
    return std::set<Flags>();
  };
  EXPECT_EQ(settings("average"), (std::set<Flags>{{{"lr", "0.1"}}, {{"lr", "0.2"}}}));
  EXPECT_EQ(settings("slowmo").size(), 4u);
  EXPECT_EQ(settings("slowmo").begin()->count("slow-beta"), 1u);
  EXPECT_EQ(settings("pso-ps").size(), 4u);
  EXPECT_EQ(settings("pso-ps").begin()->count("social"), 0u) << "the axis is leader's";
  EXPECT_EQ(settings("leader").size(), 6u);
}

TEST(Plan, RunsTheFinalSeedsAtOnceWhereThereIsNoChoice) {
  CompareOptions options = Options();
  options.axes = {};
  const auto runs = Runner(options, [](const Flags&) { return 0.5; }).Make(Groups(options).at(0));
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_EQ(runs[0].stage, Stage::kFinal);
}

TEST(Plan, ASettingThatFailedIsNotChosen) {
  const CompareOptions options = Options();
  Runner runner(options, [](const Flags& flags) {
    if (Number(flags, "lr") > 0.15 && flags.at("seed") == "102") return -1.0;  // one seed of two is enough
    return Number(flags, "lr");
  });
  const auto runs = runner.Make(Groups(options).at(0));
  EXPECT_EQ(runner.Plan(Groups(options).at(0)).chosen->at("lr"), "0.1");
  EXPECT_EQ(runs.back().stage, Stage::kFinal);
}

TEST(Plan, AFailedFinalRunIsNotMadeAgain) {
  const CompareOptions options = Options();
  Runner runner(options, [](const Flags& flags) { return flags.at("seed") == "2" ? -1.0 : 0.5; });
  EXPECT_EQ(runner.Make(Groups(options).at(0)).back().flags.at("seed"), "3");
  EXPECT_TRUE(runner.Plan(Groups(options).at(0)).missing.empty());
}

TEST(Groups, AreDataSetsTimesSynchronizersTimesPeriodsAndSsgdOnce) {
  CompareOptions options = Options();
  options.datasets = {"mnist", "fashion-mnist"};
  options.synchronizers = {"ssgd", "average", "pso-ps"};
  options.periods = {4, 16, 64};
  const std::vector<Group> groups = Groups(options);
  EXPECT_EQ(groups.size(), 2u * (1 + 3 + 3));
  EXPECT_EQ(groups[0].sync, "ssgd");
  EXPECT_EQ(groups[0].run_period, 1);
  EXPECT_EQ(groups[3].run_period, 64);
}

TEST(Groups, OfABudgetOfBytesLetWhoSendsHalfExchangeTwiceAsOften) {
  CompareOptions options = Options();
  options.synchronizers = {"average", "pso-ps", "leader", "informed-pso-ps"};
  options.periods = {1, 16};
  options.budget = Budget::kBytes;
  std::map<std::pair<std::string, std::int64_t>, std::int64_t> periods;
  for (const Group& group : Groups(options)) periods[{group.sync, group.period}] = group.run_period;
  EXPECT_EQ((periods[{"average", 16}]), 16);
  EXPECT_EQ((periods[{"pso-ps", 16}]), 8);
  EXPECT_EQ((periods[{"leader", 16}]), 8);
  EXPECT_EQ((periods[{"informed-pso-ps", 16}]), 16);
  EXPECT_EQ((periods[{"pso-ps", 1}]), 1) << "no shorter than a step";
}

TEST(Plan, ABudgetOfSamplesGivesStepsForTheSizeOfTheWorldAndTheBatch) {
  CompareOptions options = Options();
  options.common.erase("epochs");
  options.budget = Budget::kSamples;
  options.samples = 1000;
  options.axes = {{"workers", {"2", "5"}, ""}};
  std::map<std::string, std::string> steps;
  for (const PlannedRun& run : Runner(options, [](const Flags&) { return 1; }).Make(Groups(options).at(0))) {
    steps[run.flags.at("workers")] = run.flags.at("steps");
  }
  EXPECT_EQ(steps, (std::map<std::string, std::string>{{"2", "50"}, {"5", "20"}}));
}

TEST(Plan, DescribesASettingInTheOrderOfTheAxes) {
  CompareOptions options = Options();
  options.axes = {{"momentum", {"0", "0.9"}, "", true},
                  {"lr", {"0.1"}, ""},
                  {"social", {"1"}, "leader"},
                  {"social", {"2"}, "pso-ps"}};
  EXPECT_EQ(Describe(options, {{"lr", "0.1"}, {"momentum", "0.9"}, {"social", "2"}}),
            "momentum 0.9, lr 0.1, social 2");
}

}  // namespace
}  // namespace swarmsync
