#pragma once

#include <ATen/core/Tensor.h>

namespace swarmsync {

// The maximum of each 2x2 square of [N, C, H, W], an odd last row or column left out: at::max_pool2d(images,
// 2), value for value, and so is its gradient while all is finite. On a CPU libtorch 1.13 takes the pixels of
// a square one by one and stores an index for each maximum; this sends rows of them through the vector unit,
// for contiguous float tensors, and leaves all others to libtorch. It works in one thread. There is
// no second derivative.
at::Tensor MaxPool2x2(const at::Tensor& images);

}  // namespace swarmsync
