#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace swarmsync {

// Elements of each flat tensor that are worked on at once: a few such blocks stay in a core's cache, so that
// what follows on a block costs no pass over memory of its own.
constexpr std::int64_t kWeightBlock = 1 << 15;

// What is done with the elements from `begin` to `end` of flat tensors.
using BlockWork = std::function<void(std::int64_t begin, std::int64_t end)>;

// Calls work(begin, end) for each block of `size` elements, from as many threads as libtorch uses. `work`
// throws nothing.
void ForEachBlock(std::int64_t size, const BlockWork& work);

inline at::Tensor BlockOf(const at::Tensor& flat, std::int64_t begin, std::int64_t end) {
  return flat.narrow(0, begin, end - begin);
}

// average <- average + part (position - average): at::lerp_, which on a CPU takes one number after another.
// Floats, of the same size, contiguous.
void MoveTowards(const at::Tensor& average, const at::Tensor& position, double part);

}  // namespace swarmsync
