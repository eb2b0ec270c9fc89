#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace swarmsync {

// The number that is all of the text, in the notation of C without a sign "+"; nothing when it is none.
inline std::optional<double> ParseNumber(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace swarmsync
