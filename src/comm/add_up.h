#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace swarmsync {

// out <- sum_r factors[r] parts[r], in the order of the ranks, parts with the factor 0 left out; factors
// empty: all 1. All are contiguous and of the same size and type; out may be one of the parts. In one pass
// for floats on the CPU. Local.
void AddUp(const std::vector<at::Tensor>& parts, const std::vector<double>& factors, const at::Tensor& out);

}  // namespace swarmsync
