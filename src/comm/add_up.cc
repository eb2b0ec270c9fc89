#include "comm/add_up.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace swarmsync {
namespace {

constexpr std::int64_t kCached = 1024;  // elements whose sum stays in the cache

struct Term {
  const float* values;
  float factor;
};

// terms: at least one.
void AddUpFloats(const std::vector<Term>& terms, std::int64_t size, float* out) {
  float sum[kCached];
  for (std::int64_t begin = 0; begin < size; begin += kCached) {
    const std::int64_t count = std::min(kCached, size - begin);
    const float* first = terms[0].values + begin;
    for (std::int64_t i = 0; i < count; ++i) sum[i] = terms[0].factor * first[i];
    for (std::size_t t = 1; t < terms.size(); ++t) {
      const float* const values = terms[t].values + begin;
      const float factor = terms[t].factor;
      for (std::int64_t i = 0; i < count; ++i) sum[i] += factor * values[i];
    }
    std::copy_n(sum, count, out + begin);
  }
}

}  // namespace

void AddUp(const std::vector<at::Tensor>& parts, const std::vector<double>& factors, const at::Tensor& out) {
  const auto factor_of = [&](std::size_t rank) { return factors.empty() ? 1.0 : factors[rank]; };
  if (out.is_cpu() && out.scalar_type() == at::kFloat) {
    std::vector<Term> terms;
    for (std::size_t rank = 0; rank < parts.size(); ++rank) {
      const auto factor = static_cast<float>(factor_of(rank));
      if (factor_of(rank) != 0) terms.push_back({parts[rank].data_ptr<float>(), factor});
    }
    if (!terms.empty()) return AddUpFloats(terms, out.numel(), out.data_ptr<float>());
    out.zero_();
    return;
  }
  at::Tensor sum = at::zeros_like(out);
  for (std::size_t rank = 0; rank < parts.size(); ++rank) {
    if (factor_of(rank) == 1) {
      sum.add_(parts[rank]);
    } else if (factor_of(rank) != 0) {
      sum.add_(parts[rank], factor_of(rank));
    }
  }
  out.copy_(sum);
}

}  // namespace swarmsync
