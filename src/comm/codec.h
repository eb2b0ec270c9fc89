#pragma once

#include <cstddef>
#include <cstdint>

#include "swarmsync/comm/wire.h"

// How floats travel in fewer bits. Wire::kBf16: the upper half of the float, rounded to even. Wire::kInt8:
// for every 512 numbers a float, their largest magnitude / 127, and each number as a multiple of that, from
// -127 to 127. A block with a number that is not finite arrives as NaN. Not for Wire::kFp32. Local.
namespace swarmsync {

std::size_t EncodedBytes(Wire wire, std::int64_t size);

// Numbers to be sent: x = factor (values - reference) + lost. A null pointer leaves its term out.
struct Change {
  const float* values = nullptr;
  const float* reference = nullptr;
  double factor = 1;
  float* lost = nullptr;  // what did not arrive earlier; becomes what does not arrive of x
};
void EncodeChange(Wire wire, const Change& change, std::int64_t size, std::uint8_t* out);

// sum += factor · what was encoded.
void AddDecoded(Wire wire, const std::uint8_t* in, double factor, std::int64_t size, float* sum);

}  // namespace swarmsync
