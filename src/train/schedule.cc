#include "swarmsync/train/schedule.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/numbers.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/names.h"

namespace swarmsync {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr std::string_view kStepPrefix = "step:";

double Number(const std::string& part, const std::string& text) {
  const auto number = ParseNumber(part);
  if (number && *number > 0) return *number;
  throw UsageError(
      fmt::format("'{}' in the schedule '{}' is not a number above 0; write step:E1,E2,... or "
                  "step:E1,E2,...@GAMMA",
                  part, text));
}

Schedule ParseSteps(const std::string& text) {
  Schedule schedule;
  schedule.kind = Schedule::Kind::kStep;
  const std::size_t at = text.find('@');
  if (at != std::string::npos) schedule.gamma = Number(text.substr(at + 1), text);
  const std::string list = text.substr(kStepPrefix.size(), std::min(at, text.size()) - kStepPrefix.size());
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t comma = std::min(list.find(',', begin), list.size());
    schedule.milestones.push_back(Number(list.substr(begin, comma - begin), text));
    begin = comma + 1;
  }
  if (!std::is_sorted(schedule.milestones.begin(), schedule.milestones.end())) {
    throw UsageError(fmt::format(
        "the milestones of the schedule '{}' do not ascend; write the earlier epoch first", text));
  }
  return schedule;
}

double WithoutWarmup(const Schedule& schedule, double seen, double total) {
  switch (schedule.kind) {
    case Schedule::Kind::kConstant:
      return 1;
    case Schedule::Kind::kCosine:
      return (1 + std::cos(kPi * std::clamp(seen / total, 0.0, 1.0))) / 2;
    case Schedule::Kind::kStep:
      break;
  }
  // The samples before a milestone are a whole number, and `seen` a quotient of it.
  constexpr double kRounding = 1e-9;
  double factor = 1;
  for (const double milestone : schedule.milestones) {
    if (seen >= milestone - kRounding) factor *= schedule.gamma;
  }
  return factor;
}

}  // namespace

Schedule ParseSchedule(const std::string& text) {
  Schedule schedule;
  if (text == "constant") return schedule;
  if (text == "cosine") {
    schedule.kind = Schedule::Kind::kCosine;
    return schedule;
  }
  if (text.rfind(kStepPrefix, 0) == 0) return ParseSteps(text);
  throw UsageError(UnknownName("schedule", text, {"constant", "cosine", "step:E1,E2,..."}));
}

std::string ToString(const Schedule& schedule) {
  switch (schedule.kind) {
    case Schedule::Kind::kConstant:
      return "constant";
    case Schedule::Kind::kCosine:
      return "cosine";
    case Schedule::Kind::kStep:
      break;
  }
  std::string text = fmt::format("{}{}", kStepPrefix, fmt::join(schedule.milestones, ","));
  if (schedule.gamma != Schedule().gamma) text += fmt::format("@{}", schedule.gamma);
  return text;
}

double LearningRateFactor(const Schedule& schedule, double warmup, double seen, double step, double total) {
  const double risen = warmup > 0 ? std::min(1.0, (seen + step) / warmup) : 1;
  return risen * WithoutWarmup(schedule, seen, total);
}

double LearningRateFactorOfStep(const Schedule& schedule, double warmup, std::int64_t step,
                                std::int64_t steps_per_epoch, std::int64_t total_steps) {
  const auto passes = [&](std::int64_t steps) {
    return static_cast<double>(steps) / static_cast<double>(steps_per_epoch);
  };
  return LearningRateFactor(schedule, warmup, passes(step - 1), passes(1), passes(total_steps));
}

}  // namespace swarmsync
