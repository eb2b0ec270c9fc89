#include "compare/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/numbers.h"
#include "swarmsync/sync/options.h"

namespace swarmsync {
namespace {

constexpr const char* kLr = "lr";
constexpr double kFailedScore = -1;
constexpr std::size_t kLeastToExtend = 3;  // values of an axis; two may be all there is to choose from

// Whether an axis means anything to the synchronizer: it was asked for it, or its flag is the synchronizer's
// own or nobody's own.
bool Concerns(const Axis& axis, const std::string& sync) {
  if (!axis.sync.empty()) return axis.sync == sync;
  const std::string& flag = axis.flag;
  bool somebodys_own = false;
  for (const std::string& name : SynchronizerNames()) {
    const std::vector<std::string> own = OptionsOf(name);
    if (std::find(own.begin(), own.end(), flag) == own.end()) continue;
    if (name == sync) return true;
    somebodys_own = true;
  }
  return !somebodys_own;
}

std::vector<Axis> AxesOf(const CompareOptions& options, const Group& group) {
  std::vector<Axis> axes;
  std::copy_if(options.axes.begin(), options.axes.end(), std::back_inserter(axes),
               [&](const Axis& axis) { return Concerns(axis, group.sync); });
  return axes;
}

std::vector<Flags> Grid(const std::vector<Axis>& axes) {
  std::vector<Flags> settings{{}};
  for (const Axis& axis : axes) {
    std::vector<Flags> longer;
    for (const Flags& setting : settings) {
      for (const std::string& value : axis.values) {
        longer.push_back(setting);
        longer.back()[axis.flag] = value;
      }
    }
    settings = std::move(longer);
  }
  return settings;
}

PlannedRun RunOf(const CompareOptions& options, const Group& group, Stage stage, const Flags& setting,
                 const std::string& seed) {
  PlannedRun run{stage, setting, options.common};
  for (const auto& [flag, value] : setting) run.flags[flag] = value;
  run.flags["dataset"] = group.dataset;
  run.flags["sync"] = group.sync;
  run.flags["period"] = std::to_string(group.run_period);
  run.flags["seed"] = seed;
  if (stage == Stage::kTune) {
    run.flags["validation"] = std::to_string(options.validation);
    if (options.tuning_epochs > 0) run.flags["epochs"] = std::to_string(options.tuning_epochs);
  }
  if (options.budget == Budget::kSamples) {
    const std::int64_t batch = std::stoll(run.flags.at("batch-size")) * std::stoll(run.flags.at("workers"));
    run.flags["steps"] = std::to_string(std::max<std::int64_t>(1, options.samples / batch));
  }
  return run;
}

// The numbers that were tried of a flag.
std::set<double> Tried(const std::vector<Flags>& settings, const std::string& flag) {
  std::set<double> tried;
  for (const Flags& setting : settings) {
    if (const auto number = ParseNumber(setting.at(flag))) tried.insert(*number);
  }
  return tried;
}

// The number beyond the edge of those that were tried: for a learning rate in their ratio, else in their
// difference.
std::string Beyond(const std::string& flag, double edge, double inner) {
  return fmt::format("{:.3g}", flag == kLr ? edge * edge / inner : 2 * edge - inner);
}

bool Extends(const Axis& axis) { return axis.extends && axis.values.size() >= kLeastToExtend; }

// The setting beyond the best one, where one of its numbers is the least or the greatest that was tried.
std::optional<Flags> Extension(const CompareOptions& options, const std::vector<Axis>& axes,
                               const std::vector<Flags>& settings, const Flags& best) {
  for (const Axis& axis : axes) {
    if (!Extends(axis)) continue;
    const std::set<double> tried = Tried(settings, axis.flag);
    const auto number = ParseNumber(best.at(axis.flag));
    if (!number || tried.size() < kLeastToExtend) continue;
    Flags extended = best;
    if (*number == *tried.begin()) {
      extended[axis.flag] = Beyond(axis.flag, *number, *std::next(tried.begin()));
    } else if (*number == *tried.rbegin()) {
      extended[axis.flag] = Beyond(axis.flag, *number, *std::next(tried.rbegin()));
    } else {
      continue;
    }
    if (options.allowed(extended)) return extended;
  }
  return std::nullopt;
}

// The grid in parts, each with one choice of the values that do not extend, such as the momentum: each part
// has an edge of its own.
std::vector<std::vector<Flags>> Parts(const std::vector<Axis>& axes) {
  std::map<Flags, std::vector<Flags>> parts;
  for (const Flags& setting : Grid(axes)) {
    Flags fixed;
    for (const Axis& axis : axes) {
      if (!Extends(axis)) fixed.insert(*setting.find(axis.flag));
    }
    parts[fixed].push_back(setting);
  }
  std::vector<std::vector<Flags>> result;
  for (auto& [fixed, settings] : parts) result.push_back(std::move(settings));
  return result;
}

// Makes the runs of a stage for each setting; those that are missing are appended to the plan. Result: the
// mean outcome of each setting.
std::vector<double> Ask(const CompareOptions& options, const Group& group, Stage stage,
                        const std::vector<Flags>& settings, const std::vector<std::string>& seeds,
                        const Outcomes& outcomes, GroupPlan& plan) {
  std::vector<double> scores;
  for (const Flags& setting : settings) {
    double sum = 0;
    bool failed = false;
    for (const std::string& seed : seeds) {
      const PlannedRun run = RunOf(options, group, stage, setting, seed);
      const std::optional<double> outcome = outcomes(run.flags);
      if (!outcome) plan.missing.push_back(run);
      sum += outcome.value_or(0);
      failed = failed || (outcome && *outcome < 0);
    }
    scores.push_back(failed ? kFailedScore : sum / static_cast<double>(seeds.size()));
  }
  return scores;
}

// Settings with their mean validation accuracies.
struct Ranking {
  std::vector<Flags> settings;
  std::vector<double> scores;

  std::size_t best() const {
    return static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
  }
};

// Tries a part of the grid and what extends it, until its best lies inside or a run is missing.
Ranking TryPart(const CompareOptions& options, const Group& group, const std::vector<Axis>& axes,
                std::vector<Flags> settings, const std::vector<std::string>& seeds, const Outcomes& outcomes,
                GroupPlan& plan) {
  const std::size_t missing_elsewhere = plan.missing.size();
  Ranking part{settings, Ask(options, group, Stage::kTune, settings, seeds, outcomes, plan)};
  for (int left = options.extensions; left > 0 && plan.missing.size() == missing_elsewhere; --left) {
    const auto extension = Extension(options, axes, part.settings, part.settings[part.best()]);
    if (!extension) break;
    part.settings.push_back(*extension);
    part.scores.push_back(Ask(options, group, Stage::kTune, {*extension}, seeds, outcomes, plan)[0]);
  }
  return part;
}

// Those with the highest scores, `count` of them or all, in the order of their scores. One that failed is
// none, unless all did.
std::vector<Flags> Finalists(const Ranking& ranking, std::size_t count) {
  std::vector<std::size_t> order(ranking.settings.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return ranking.scores[a] > ranking.scores[b]; });
  order.resize(std::min(count, order.size()));
  while (order.size() > 1 && ranking.scores[order.back()] == kFailedScore) order.pop_back();
  std::vector<Flags> finalists;
  for (const std::size_t i : order) finalists.push_back(ranking.settings[i]);
  return finalists;
}

// The best setting of all parts, once all that could be it are known.
std::optional<Flags> Tune(const CompareOptions& options, const Group& group, const Outcomes& outcomes,
                          GroupPlan& plan) {
  const std::vector<Axis> axes = AxesOf(options, group);
  const auto parts = Parts(axes);
  if (parts.size() == 1 && parts[0].size() == 1) return parts[0][0];
  const bool in_two_rounds = options.finalists > 0 && options.tuning_seeds.size() > 1;
  const std::vector<std::string> first_seed{options.tuning_seeds.front()};
  const auto& seeds = in_two_rounds ? first_seed : options.tuning_seeds;
  Ranking all;
  for (const auto& settings : parts) {
    const Ranking part = TryPart(options, group, axes, settings, seeds, outcomes, plan);
    all.settings.insert(all.settings.end(), part.settings.begin(), part.settings.end());
    all.scores.insert(all.scores.end(), part.scores.begin(), part.scores.end());
  }
  const auto finalists = std::min(all.settings.size(), static_cast<std::size_t>(options.finalists));
  if (!plan.missing.empty()) {
    if (in_two_rounds) plan.later = static_cast<std::int64_t>(finalists * (options.tuning_seeds.size() - 1));
    return std::nullopt;
  }
  if (in_two_rounds) {
    all.settings = Finalists(all, finalists);
    all.scores = Ask(options, group, Stage::kTune, all.settings, options.tuning_seeds, outcomes, plan);
    if (!plan.missing.empty()) return std::nullopt;
  }
  plan.chosen_score = all.scores[all.best()];
  return all.settings[all.best()];
}

}  // namespace

bool IgnoresPeriod(const std::string& sync) { return sync == "ssgd"; }

std::vector<Group> Groups(const CompareOptions& options) {
  std::vector<Group> groups;
  for (const std::string& dataset : options.datasets) {
    for (const std::string& sync : options.synchronizers) {
      for (const std::int64_t period : IgnoresPeriod(sync) ? std::vector<std::int64_t>{1} : options.periods) {
        const double cost = options.budget == Budget::kBytes ? RelativeCost(sync) : 1;
        const auto run_period = static_cast<std::int64_t>(std::llround(static_cast<double>(period) * cost));
        groups.push_back({dataset, sync, period, std::max<std::int64_t>(1, run_period)});
      }
    }
  }
  return groups;
}

GroupPlan PlanGroup(const CompareOptions& options, const Group& group, const Outcomes& outcomes) {
  GroupPlan plan;
  plan.chosen = Tune(options, group, outcomes, plan);
  if (plan.chosen) {
    Ask(options, group, Stage::kFinal, {*plan.chosen}, options.final_seeds, outcomes, plan);
  } else {
    plan.later += static_cast<std::int64_t>(options.final_seeds.size());
  }
  return plan;
}

std::vector<PlannedRun> FinalRuns(const CompareOptions& options, const Group& group, const Flags& setting) {
  std::vector<PlannedRun> runs;
  for (const std::string& seed : options.final_seeds) {
    runs.push_back(RunOf(options, group, Stage::kFinal, setting, seed));
  }
  return runs;
}

std::string Describe(const CompareOptions& options, const Flags& setting) {
  std::string text;
  std::set<std::string> described;
  for (const Axis& axis : options.axes) {
    const auto found = setting.find(axis.flag);
    if (found == setting.end() || !described.insert(axis.flag).second) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", axis.flag, found->second);
  }
  return text;
}

}  // namespace swarmsync
