#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace swarmsync {

// The k-th of n parts, as equal as can be, of a tensor of one dimension. Shares memory.
inline at::Tensor PartOf(const at::Tensor& flat, std::int64_t k, std::int64_t n) {
  const std::int64_t begin = flat.numel() * k / n;
  return flat.narrow(0, begin, flat.numel() * (k + 1) / n - begin);
}

// out <- sum_r factors[r] parts[r], in the order of the ranks, parts with the factor 0 left out; factors
// empty: all 1. All are contiguous and of the same size and type; out may be one of the parts. In one pass
// for floats on the CPU. Local.
void AddUp(const std::vector<at::Tensor>& parts, const std::vector<double>& factors, const at::Tensor& out);

}  // namespace swarmsync
