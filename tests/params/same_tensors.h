#pragma once

#include <torch/torch.h>

#include <algorithm>

#include "swarmsync/params/weights.h"

namespace swarmsync::testing {

// Whether both have the same names in the same order, with tensors of the same types and values.
inline bool SameTensors(const NamedTensors& a, const NamedTensors& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.scalar_type() == y.second.scalar_type() &&
           torch::equal(x.second, y.second);
  });
}

}  // namespace swarmsync::testing
