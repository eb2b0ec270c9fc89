#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "swarmsync/base/names.h"

namespace swarmsync {

// The numbers that weights and gradients travel in. Where these are not exact, weights are sent as
// differences from what all ranks know, and what an encoding has lost comes with what is sent the next time.
enum class Wire {
  kFp32,  // as they are
  kBf16,  // half of the bytes
  kInt8,  // a quarter of them, and a scale for every 512 numbers
};
template <>
struct EnumNames<Wire> {
  static constexpr std::string_view kWhat = "wire format";
  static constexpr std::array<std::pair<Wire, std::string_view>, 3> kNames{
      {{Wire::kFp32, "fp32"}, {Wire::kBf16, "bf16"}, {Wire::kInt8, "int8"}}};
};

}  // namespace swarmsync
