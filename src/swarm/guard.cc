#include "swarmsync/swarm/guard.h"

#include <algorithm>
#include <cmath>

namespace swarmsync {
namespace {

// A robust outlier test: 1.4826 MAD estimates a normal distribution's standard deviation. The relative
// allowances are there because three or four numbers say little about their spread.
constexpr double kDeviations = 5 * 1.4826;
constexpr double kRelativeLoss = 1, kRelativeDistance = 9;

double LowerMedian(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// What is above it is far out.
double Limit(const std::vector<double>& values, double relative) {
  const double median = LowerMedian(values);
  std::vector<double> deviations;
  for (const double value : values) deviations.push_back(std::abs(value - median));
  return median + std::max(relative * std::abs(median), kDeviations * LowerMedian(deviations));
}

}  // namespace

std::vector<bool> FarOut(const std::vector<Conduct>& workers) {
  std::vector<bool> far_out(workers.size(), false);
  std::vector<double> losses, distances;
  for (const Conduct& worker : workers) {
    if (!std::isfinite(worker.loss)) continue;
    losses.push_back(worker.loss);
    distances.push_back(worker.distance);
  }
  if (losses.empty()) return far_out;

  const double loss_limit = Limit(losses, kRelativeLoss);
  const double distance_limit = Limit(distances, kRelativeDistance);
  std::transform(workers.begin(), workers.end(), far_out.begin(), [&](const Conduct& worker) {
    if (!std::isfinite(worker.loss)) return std::isnan(worker.loss);
    return worker.loss > loss_limit || worker.distance > distance_limit;
  });
  return far_out;
}

}  // namespace swarmsync
