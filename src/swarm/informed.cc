#include "swarmsync/swarm/informed.h"

#include <algorithm>
#include <cmath>

#include "swarmsync/swarm/bests.h"

namespace swarmsync {

std::vector<double> InformedWeights(const std::vector<double>& fitness, double beta) {
  std::vector<double> weights(fitness.size(), 0.0);
  const int best = BestOf(fitness);
  if (best < 0) return weights;

  double magnitude = 0;
  int finite = 0;
  for (const double f : fitness) {
    if (!std::isfinite(f)) continue;
    magnitude += std::abs(f);
    ++finite;
  }
  const double scale = std::max(magnitude / finite, 1e-12);
  double sum = 0;
  for (std::size_t i = 0; i < fitness.size(); ++i) {
    if (!std::isfinite(fitness[i])) continue;
    weights[i] = std::exp(-beta * (fitness[i] - fitness[static_cast<std::size_t>(best)]) / scale);
    sum += weights[i];
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

}  // namespace swarmsync
