#pragma once

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "compare/plan.h"
#include "compare/run_store.h"

namespace swarmsync {

// The mean of a sample and half the width of its 95 % interval, by Student's t; the width is NaN for fewer
// than two numbers, the mean for none.
struct Estimate {
  double mean = std::numeric_limits<double>::quiet_NaN();
  double half_width = std::numeric_limits<double>::quiet_NaN();
};
Estimate EstimateMean(const std::vector<double>& sample);

// One line of the comparison's table.
struct GroupResult {
  Group group;
  std::string setting;  // in words
  std::int64_t seeds = 0, failed = 0;
  Estimate accuracy;               // of the final runs on the test set, 0-1
  Estimate above_baseline;         // its difference from the baseline's, over the seeds that both have
  double validation_accuracy = 0;  // of the chosen setting; NaN when there was no choice
  // Means over the runs.
  double bytes = 0;                    // sent by a worker
  double exchanges = 0, seconds = 0;   // of the whole run
  std::vector<const RunRecord*> runs;  // the final runs
};

// What the groups have, as far as it is known; those without a final run are left out.
std::vector<GroupResult> Summarize(const CompareOptions& options, const RunStore& store);

std::string ToCsv(const std::vector<GroupResult>& results);
std::string ToMarkdown(const CompareOptions& options, const std::vector<GroupResult>& results);
std::string ToTerminal(const CompareOptions& options, const std::vector<GroupResult>& results);

// The data of report.html (report/html_report.h).
nlohmann::ordered_json ToReport(const CompareOptions& options, const std::vector<GroupResult>& results);

}  // namespace swarmsync
