// This file is compiled with OpenMP, without which libtorch's own parallel loops run in one thread.

#include "sync/blocks.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

namespace swarmsync {

void ForEachBlock(std::int64_t size, const BlockWork& work) {
  const std::int64_t blocks = (size + kWeightBlock - 1) / kWeightBlock;
  const auto threads =
      static_cast<int>(std::clamp<std::int64_t>(at::get_num_threads(), 1, std::max<std::int64_t>(1, blocks)));
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (std::int64_t block = 0; block < blocks; ++block)
    work(block * kWeightBlock, std::min(size, (block + 1) * kWeightBlock));
}

void MoveTowards(const at::Tensor& average, const at::Tensor& position, double part) {
  if (!average.is_cpu()) {
    average.lerp_(position, part);
    return;
  }
  float* __restrict to = average.data_ptr<float>();
  const float* __restrict from = position.data_ptr<float>();
  const auto near = static_cast<float>(part), far = static_cast<float>(1 - part);
  const std::int64_t size = average.numel();
  if (part < 0.5) {
    for (std::int64_t i = 0; i < size; ++i) to[i] += near * (from[i] - to[i]);
  } else {
    for (std::int64_t i = 0; i < size; ++i) to[i] = from[i] - far * (from[i] - to[i]);
  }
}

}  // namespace swarmsync
