#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "swarmsync/base/philox.h"

namespace swarmsync {

// Fisher and Yates. The stream draws n - 1 words, the first for the last position.
inline void Shuffle(std::vector<std::int64_t>& ids, PhiloxStream stream) {
  for (std::size_t i = ids.size(); i-- > 1;) {
    const std::size_t j = stream.NextBelow(static_cast<std::uint32_t>(i + 1));
    std::swap(ids[i], ids[j]);
  }
}

}  // namespace swarmsync
