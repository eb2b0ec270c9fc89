#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

namespace swarmsync {

// A module of parameter tensors and nothing else, for exchanges without a network.
class PlainParameters : public torch::nn::Module {
 public:
  explicit PlainParameters(const std::vector<std::int64_t>& sizes) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      register_parameter("tensor" + std::to_string(i), torch::zeros({sizes[i]}));
    }
  }
};

}  // namespace swarmsync
