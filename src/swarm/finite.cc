#include "swarmsync/swarm/finite.h"

#include <cstring>

namespace swarmsync {

// What is not finite has all bits of its exponent. Without a way out of the loop, it is vectorized.
bool AllFinite(const float* values, std::int64_t size) {
  constexpr std::uint32_t kExponent = 0x7f800000;
  std::uint32_t found = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    found |= static_cast<std::uint32_t>((bits & kExponent) == kExponent);
  }
  return found == 0;
}

}  // namespace swarmsync
