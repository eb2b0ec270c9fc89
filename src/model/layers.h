#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace swarmsync {

// What several networks have in common.

// With a border of one pixel, and no bias: a BatchNorm follows.
torch::nn::Conv2d Conv3x3(std::int64_t from, std::int64_t to, std::int64_t stride);

// All convolutions of the module: weights as in He et al. 2015, for the fan-out and ReLU; biases 0.
void InitializeConvolutions(torch::nn::Module& module);

}  // namespace swarmsync
