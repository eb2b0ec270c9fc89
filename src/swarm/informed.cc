#include "swarmsync/swarm/informed.h"

#include <algorithm>
#include <cmath>

#include "swarmsync/swarm/bests.h"

namespace swarmsync {

std::vector<double> InformedWeights(const std::vector<double>& fitness, double beta) {
  std::vector<double> weights(fitness.size(), 0.0);
  const int best = BestOf(fitness);
  if (best < 0) return weights;

  const auto finite =
      std::count_if(fitness.begin(), fitness.end(), [](double f) { return std::isfinite(f); });
  double magnitude = 0;  // divided before it is summed, so that nothing overflows
  for (const double f : fitness) {
    if (std::isfinite(f)) magnitude += std::abs(f) / static_cast<double>(finite);
  }
  const double scale = std::max(magnitude, 1e-12), least = fitness[static_cast<std::size_t>(best)] / scale;
  double sum = 0;
  for (std::size_t i = 0; i < fitness.size(); ++i) {
    if (!std::isfinite(fitness[i])) continue;
    weights[i] = std::exp(-beta * (fitness[i] / scale - least));
    sum += weights[i];
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

}  // namespace swarmsync
