#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "swarmsync/base/error.h"

namespace swarmsync {

// The candidate most like `name` by edit distance, the first of several; "" when none is within two edits, or
// within half of the length of `name`.
std::string Nearest(std::string_view name, const std::vector<std::string>& candidates);

// "unknown WHAT 'NAME'; did you mean 'NEAREST'? (one of a, b, c)"
std::string UnknownName(std::string_view what, std::string_view name,
                        const std::vector<std::string>& candidates);

// The names of an enumeration's values. Specialize for each enumeration that a user can name:
//   template <> struct EnumNames<Color> {
//     static constexpr std::string_view kWhat = "color";
//     static constexpr std::array<std::pair<Color, std::string_view>, 2> kNames{{…}};
//   };
template <class E>
struct EnumNames;

// All names of an enumeration, in the order of its EnumNames.
template <class E>
std::vector<std::string> AllNames() {
  std::vector<std::string> names;
  for (const auto& [value, name] : EnumNames<E>::kNames) names.emplace_back(name);
  return names;
}

// The name of a value; "?" where it has none.
template <class E>
std::string ToString(E value) {
  for (const auto& [candidate, name] : EnumNames<E>::kNames) {
    if (candidate == value) return std::string(name);
  }
  return "?";
}

// The value of that name. Throws UsageError that suggests the nearest valid name.
template <class E>
E ParseEnum(std::string_view text) {
  for (const auto& [value, name] : EnumNames<E>::kNames) {
    if (name == text) return value;
  }
  throw UsageError(UnknownName(EnumNames<E>::kWhat, text, AllNames<E>()));
}

}  // namespace swarmsync
