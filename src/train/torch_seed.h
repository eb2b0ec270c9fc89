#pragma once

#include <cstdint>

#include "swarmsync/base/philox.h"

namespace swarmsync {

// A 64-bit seed for libtorch's generator: for the initial weights (of rank 0, which all take), or for what
// the model draws in training.
enum class Draws : std::uint32_t { kWeights = 0, kTraining = 1 };

inline std::uint64_t TorchSeed(std::uint64_t seed, int rank, Draws draws) {
  PhiloxStream stream(Philox(seed), static_cast<std::uint32_t>(draws), static_cast<std::uint32_t>(rank),
                      RandomPurpose::kInitialize);
  const std::uint64_t low = stream.NextWord();
  return low | static_cast<std::uint64_t>(stream.NextWord()) << 32;
}

}  // namespace swarmsync
