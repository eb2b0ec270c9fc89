#include "swarmsync/swarm/guard.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace swarmsync {
namespace {

// A robust outlier test: 1.4826 MAD estimates a normal distribution's standard deviation. Twice the median
// loss is allowed in any case, because three or four numbers say little about their spread.
constexpr double kDeviations = 5 * 1.4826;
constexpr double kTimesAsFar = 10;

double LowerMedian(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double LossLimit(const std::vector<double>& losses) {
  const double median = LowerMedian(losses);
  std::vector<double> deviations;
  for (const double loss : losses) deviations.push_back(std::abs(loss - median));
  return median + std::max(std::abs(median), kDeviations * LowerMedian(deviations));
}

std::vector<bool> Above(const std::vector<Conduct>& workers, double loss_limit, double distance_limit) {
  std::vector<bool> above;
  for (const Conduct& worker : workers) {
    const bool finite = std::isfinite(worker.loss);
    above.push_back(finite ? worker.loss > loss_limit || worker.distance > distance_limit
                           : std::isnan(worker.loss));
  }
  return above;
}

bool SomeoneRemains(const std::vector<Conduct>& workers, const std::vector<bool>& far_out) {
  for (std::size_t i = 0; i < workers.size(); ++i) {
    if (std::isfinite(workers[i].loss) && !far_out[i]) return true;
  }
  return false;
}

}  // namespace

std::vector<bool> FarOut(const std::vector<Conduct>& workers) {
  std::vector<double> losses, distances;
  for (const Conduct& worker : workers) {
    if (!std::isfinite(worker.loss)) continue;
    losses.push_back(worker.loss);
    distances.push_back(worker.distance);
  }
  if (losses.empty()) return std::vector<bool>(workers.size(), false);

  const double loss_limit = LossLimit(losses);
  const std::vector<bool> far_out = Above(workers, loss_limit, kTimesAsFar * LowerMedian(distances));
  if (SomeoneRemains(workers, far_out)) return far_out;
  return Above(workers, loss_limit, std::numeric_limits<double>::infinity());
}

}  // namespace swarmsync
