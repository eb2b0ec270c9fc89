// This file is compiled with OpenMP, without which libtorch's own parallel loops run in one thread.

#include "sync/blocks.h"

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

}  // namespace swarmsync
