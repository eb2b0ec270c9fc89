#pragma once

#include <torch/optim/optimizer.h>

#include <memory>

#include "swarmsync/params/flat_params.h"
#include "swarmsync/train/config.h"

namespace swarmsync {

// A worker's local optimizer, on all of a model's weights as one tensor, which takes few passes over memory
// and few kernels on a GPU. Weight decay spares biases and BatchNorm's parameters, which have one dimension,
// unless decay_all; frozen weights stay as they are. lr: this worker's. Borrows the parameters' memory.
// Local.
std::unique_ptr<torch::optim::Optimizer> MakeOptimizer(const TrainConfig& config, double lr,
                                                       const FlatParams& params);

}  // namespace swarmsync
