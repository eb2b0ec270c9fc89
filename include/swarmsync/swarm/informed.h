#pragma once

#include <vector>

namespace swarmsync {

// How much each worker counts in the guide of informed-pso-ps (docs/synchronizers/informed-pso-ps.md):
//   t_i = softmax_i(-beta (f_i - min f) / max(mean |f|, 1e-12))    over the workers with a finite fitness
// The others have 0; all have 0 when no fitness is finite. Result: [workers], with the sum 1 or 0. Pure.
std::vector<double> InformedWeights(const std::vector<double>& fitness, double beta);

}  // namespace swarmsync
