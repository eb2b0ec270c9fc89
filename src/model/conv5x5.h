#pragma once

#include <ATen/core/Tensor.h>

namespace swarmsync {

// at::conv2d(images, weight, bias, 1, padding) to rounding, with its gradients, for few channels.
//
// oneDNN, which libtorch asks for a convolution on a CPU, blocks channels by eight and spends most of a step
// of LeNet-5 on the 1 and 6 channels of its two layers. This takes rows of pixels through the vector unit
// instead, for contiguous float tensors [N, C <= 8, H, W] with a weight [K >= 3, C, 5, 5] and a padding of 0
// to 4, on x86-64 with AVX2 and FMA, and leaves everything else to libtorch. It uses libtorch's intra-op
// threads; the result does not depend on their number. There is no second derivative.
at::Tensor Conv5x5(const at::Tensor& images, const at::Tensor& weight, const at::Tensor& bias,
                   std::int64_t padding);

}  // namespace swarmsync
