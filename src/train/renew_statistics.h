#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "swarmsync/model/registry.h"

namespace swarmsync {

// Replaces the running averages among a model's buffers by means over mini-batches that it is shown in
// training mode. buffers: its float buffers, as FlatParams has them. load: makes the next mini-batch the one
// that `show` passes through the model, which must not change the weights.
//
// A running average is a number r that a pass takes to (1 - m) r + m b, whatever m is: the same mini-batch,
// shown from two r, tells m. A number that a pass leaves alone is none, and stays. Integer buffers, which
// count, are afterwards as before. A network with dropout draws from libtorch's generator. Local.
void RenewStatistics(ImageClassifier& model, const at::Tensor& buffers, std::int64_t batches,
                     const std::function<void()>& load, const std::function<void()>& show);

}  // namespace swarmsync
