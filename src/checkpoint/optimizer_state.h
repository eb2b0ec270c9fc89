#pragma once

#include <torch/torch.h>

namespace swarmsync {

// What an optimizer keeps of a parameter; null when it keeps nothing yet.
torch::optim::OptimizerParamState* ParamStateOf(torch::optim::Optimizer& optimizer,
                                                const at::Tensor& parameter);

}  // namespace swarmsync
