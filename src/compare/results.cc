#include "compare/results.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "report/run_report.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// The 97.5 % quantile of Student's t distribution with n degrees of freedom: a table up to 10, beyond it the
// Cornish-Fisher expansion around the normal quantile, good to 0.001 there.
double StudentQuantile(std::size_t n) {
  constexpr double kTable[] = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706,
                               2.4469,  2.3646, 2.3060, 2.2622, 2.2281};
  if (n <= std::size(kTable)) return kTable[n - 1];
  const double z = 1.959964, degrees = static_cast<double>(n);
  const double z3 = z * z * z, z5 = z3 * z * z;
  return z + (z3 + z) / (4 * degrees) + (5 * z5 + 16 * z3 + 3 * z) / (96 * degrees * degrees);
}

double Number(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || !found->is_number() ? kNaN : found->get<double>();
}

GroupResult ResultOf(const CompareOptions& options, const Group& group, const GroupPlan& plan,
                     const RunStore& store) {
  GroupResult result;
  result.group = group;
  result.setting = Describe(options, *plan.chosen);
  result.validation_accuracy = plan.chosen_score > 0 ? plan.chosen_score : kNaN;
  std::vector<double> accuracies;
  for (const PlannedRun& run : FinalRuns(options, group, *plan.chosen)) {
    const RunRecord* record = store.Find(run.flags);
    if (record == nullptr) continue;
    result.runs.push_back(record);
    ++result.seeds;
    if (record->failed) {
      ++result.failed;
      continue;
    }
    accuracies.push_back(Number(record->result, "test_accuracy"));
    result.bytes += Number(record->result, "bytes_sent_per_worker");
    result.exchanges += Number(record->result, "rounds");
    result.seconds += Number(record->result, "wall_seconds");
  }
  result.accuracy = EstimateMean(accuracies);
  for (double* mean : {&result.bytes, &result.exchanges, &result.seconds}) {
    *mean = accuracies.empty() ? kNaN : *mean / static_cast<double>(accuracies.size());
  }
  return result;
}

// Whether two groups are held against each other. One that ignores the period has a counterpart when it is
// the baseline, or when there is one period only.
bool AreHeldTogether(const CompareOptions& options, const Group& group, const Group& baseline) {
  return baseline.sync == options.baseline && baseline.dataset == group.dataset &&
         (baseline.period == group.period || IgnoresPeriod(baseline.sync) ||
          (IgnoresPeriod(group.sync) && options.periods.size() == 1));
}

// Runs of one seed begin at the same weights and see the same samples, so their differences vary less than
// they do.
Estimate Difference(const GroupResult& result, const GroupResult& baseline) {
  std::vector<double> differences;
  for (const RunRecord* run : result.runs) {
    for (const RunRecord* other : baseline.runs) {
      if (run->failed || other->failed || run->flags.at("seed") != other->flags.at("seed")) continue;
      differences.push_back(Number(run->result, "test_accuracy") - Number(other->result, "test_accuracy"));
    }
  }
  return EstimateMean(differences);
}

std::string Percent(const Estimate& estimate, const char* none, bool sign = false) {
  if (std::isnan(estimate.mean)) return none;
  const std::string mean = fmt::format(sign ? "{:+.2f}" : "{:.2f}", 100 * estimate.mean);
  return std::isnan(estimate.half_width) ? mean : fmt::format("{} ± {:.2f}", mean, 100 * estimate.half_width);
}

std::string Accuracy(const GroupResult& result) { return Percent(result.accuracy, "failed"); }
std::string AboveBaseline(const GroupResult& result) { return Percent(result.above_baseline, "", true); }

// In the order of the table: by data set, then period, then the best first.
std::vector<GroupResult> Sorted(std::vector<GroupResult> results) {
  const auto key = [](const GroupResult& r) {
    const double accuracy = std::isnan(r.accuracy.mean) ? -1 : r.accuracy.mean;
    return std::make_tuple(r.group.dataset, r.group.period, -accuracy);
  };
  std::stable_sort(results.begin(), results.end(),
                   [&](const GroupResult& a, const GroupResult& b) { return key(a) < key(b); });
  return results;
}

std::string Quoted(std::string text) {
  std::size_t at = 0;
  while ((at = text.find('"', at)) != std::string::npos) {
    text.insert(at, "\"");
    at += 2;
  }
  return "\"" + text + "\"";
}

std::string CsvNumber(double value) { return std::isnan(value) ? "" : fmt::format("{}", value); }

std::string Failures(const GroupResult& result) {
  return result.failed == 0 ? std::to_string(result.seeds)
                            : fmt::format("{} ({} failed)", result.seeds, result.failed);
}

Json OrNull(double value) { return std::isfinite(value) ? Json(value) : Json(); }

}  // namespace

Estimate EstimateMean(const std::vector<double>& sample) {
  if (sample.empty()) return {};
  const auto n = static_cast<double>(sample.size());
  double mean = 0, squares = 0;
  for (const double value : sample) mean += value / n;
  if (sample.size() < 2) return {mean, kNaN};
  for (const double value : sample) squares += (value - mean) * (value - mean);
  return {mean, StudentQuantile(sample.size() - 1) * std::sqrt(squares / (n - 1) / n)};
}

std::vector<GroupResult> Summarize(const CompareOptions& options, const RunStore& store) {
  std::vector<GroupResult> results;
  for (const Group& group : Groups(options)) {
    const GroupPlan plan = PlanGroup(options, group, OutcomesIn(store));
    if (!plan.chosen) continue;
    GroupResult result = ResultOf(options, group, plan, store);
    if (result.seeds > 0) results.push_back(std::move(result));
  }
  for (GroupResult& result : results) {
    for (const GroupResult& other : results) {
      if (&other != &result && AreHeldTogether(options, result.group, other.group))
        result.above_baseline = Difference(result, other);
    }
  }
  return Sorted(std::move(results));
}

std::string ToCsv(const std::vector<GroupResult>& results) {
  std::string csv =
      "dataset,sync,period,run_period,setting,seeds,failed,test_accuracy,half_width_95,validation_accuracy,"
      "bytes_sent_per_worker,exchanges,wall_seconds,above_baseline,above_baseline_half_width_95\n";
  for (const GroupResult& r : results) {
    csv += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", Quoted(r.group.dataset),
                       r.group.sync, r.group.period, r.group.run_period, Quoted(r.setting), r.seeds, r.failed,
                       CsvNumber(r.accuracy.mean), CsvNumber(r.accuracy.half_width),
                       CsvNumber(r.validation_accuracy), CsvNumber(r.bytes), CsvNumber(r.exchanges),
                       CsvNumber(r.seconds), CsvNumber(r.above_baseline.mean),
                       CsvNumber(r.above_baseline.half_width));
  }
  return csv;
}

std::string ToMarkdown(const CompareOptions& options, const std::vector<GroupResult>& results) {
  std::string text = fmt::format(
      "| data | period | synchronizer | test accuracy, % (mean ± 95 %) | above {}, seed by seed | seeds | "
      "MB sent by a worker | exchanges | s | setting |\n"
      "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
      options.baseline);
  for (const GroupResult& r : results) {
    text += fmt::format("| {} | {} | {} | {} | {} | {} | {:.1f} | {:.0f} | {:.1f} | {} |\n", r.group.dataset,
                        r.group.run_period, r.group.sync, Accuracy(r), AboveBaseline(r), Failures(r),
                        r.bytes / 1e6, r.exchanges, r.seconds, r.setting);
  }
  text += fmt::format(
      "\nSettings were chosen by the mean accuracy on {} held-out training samples with {} tuning seed{}{}; "
      "the test set was used for the final seeds only.\n",
      options.validation, options.tuning_seeds.size(), options.tuning_seeds.size() == 1 ? "" : "s",
      options.finalists > 0
          ? fmt::format(", for all but the best {} of each group with the first alone", options.finalists)
          : "");
  return text;
}

std::string ToTerminal(const CompareOptions& options, const std::vector<GroupResult>& results) {
  constexpr const char* kLine = "{:<14} {:>6} {:<16} {:>16} {:>22} {:>7} {:>9} {:>9} {:>7}  {}\n";
  std::string text =
      fmt::format(kLine, "data", "period", "synchronizer", "test accuracy %", "above " + options.baseline,
                  "seeds", "MB sent", "exchanges", "s", "setting");
  for (const GroupResult& r : results) {
    text += fmt::format(kLine, r.group.dataset, r.group.run_period, r.group.sync, Accuracy(r),
                        AboveBaseline(r), Failures(r), fmt::format("{:.1f}", r.bytes / 1e6),
                        fmt::format("{:.0f}", r.exchanges), fmt::format("{:.1f}", r.seconds), r.setting);
  }
  return text;
}

Json ToReport(const CompareOptions& options, const std::vector<GroupResult>& results) {
  Json groups = Json::array(), runs = Json::array();
  Json versions;
  for (const GroupResult& r : results) {
    groups.push_back({{"dataset", r.group.dataset},
                      {"sync", r.group.sync},
                      {"period", r.group.run_period},
                      {"setting", r.setting},
                      {"seeds", r.seeds},
                      {"failed", r.failed},
                      {"accuracy", OrNull(r.accuracy.mean)},
                      {"half_width", OrNull(r.accuracy.half_width)},
                      {"above_baseline", OrNull(r.above_baseline.mean)},
                      {"above_baseline_half_width", OrNull(r.above_baseline.half_width)},
                      {"bytes", OrNull(r.bytes)},
                      {"exchanges", OrNull(r.exchanges)},
                      {"seconds", OrNull(r.seconds)},
                      {"validation_accuracy", OrNull(r.validation_accuracy)}});
    for (const RunRecord* record : r.runs) {
      Json run = RunForReport(record->result, record->epochs, record->exchanges);
      run["dataset"] = r.group.dataset;
      run["sync"] = r.group.sync;
      run["period"] = r.group.run_period;
      run["seed"] = record->flags.at("seed");
      run["status"] = record->failed ? "failed" : "done";
      run["message"] = record->message;
      if (record->result.contains("versions")) versions = record->result.at("versions");
      runs.push_back(std::move(run));
    }
  }
  Json config = options.common;
  for (const Axis& axis : options.axes) {
    std::string text = config.value(axis.flag, "");
    if (!text.empty()) text += "; ";
    if (!axis.sync.empty()) text += axis.sync + ": ";
    config[axis.flag] = text + fmt::format("{}", fmt::join(axis.values, ", "));
  }
  config["tuning-seeds"] = fmt::format("{}", fmt::join(options.tuning_seeds, ", "));
  config["seeds"] = fmt::format("{}", fmt::join(options.final_seeds, ", "));
  if (options.finalists > 0) config["finalists"] = std::to_string(options.finalists);
  return {{"kind", "compare"},
          {"title", fmt::format("{} on {}", fmt::join(options.synchronizers, ", "),
                                fmt::join(options.datasets, ", "))},
          {"created", TimeStamp()},
          {"config", config},
          {"versions", versions},
          {"baseline", options.baseline},
          {"runs", runs},
          {"groups", groups}};
}

}  // namespace swarmsync
