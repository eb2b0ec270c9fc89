#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace swarmsync {

// Whether a kernel of ours may read the tensor: floats, one after another, in the memory of the CPU.
inline bool IsPlain(const at::Tensor& tensor, std::int64_t dimensions) {
  return tensor.dim() == dimensions && tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat &&
         tensor.layout() == at::kStrided && tensor.is_contiguous();
}

}  // namespace swarmsync
