#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <type_traits>

namespace swarmsync {

// Whether brackets lie in more brackets than any of our files has.
inline bool IsNestedTooDeep(std::string_view json) {
  constexpr int kMostLevels = 64;
  int level = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && (c == '[' || c == '{')) {
      if (++level > kMostLevels) return true;
    } else if (!in_string && (c == ']' || c == '}')) {
      --level;
    }
  }
  return false;
}

// Json::parse for what comes from outside. The library copies and writes a value by functions that call
// themselves for each level of it, so that a file of brackets would exhaust the stack. Throws
// Json::exception.
template <class Json>
Json ParseJson(std::string_view text) {
  if (IsNestedTooDeep(text)) throw Json::other_error::create(501, "it is nested too deep", nullptr);
  return Json::parse(text);
}

// The whole number that a value is, if a T can be it. The library's own conversion takes 1e300 and others
// that are too large, and makes anything of them. Throws Json::exception.
template <class T = std::int64_t, class Json>
T WholeNumber(const Json& value) {
  const auto fits = [&] {
    if (!value.is_number_integer()) return false;
    const bool is_large = value.is_number_unsigned();
    const auto large = is_large ? value.template get<std::uint64_t>() : 0;
    const auto number = is_large ? 0 : value.template get<std::int64_t>();
    if (is_large) return large <= static_cast<std::uint64_t>(std::numeric_limits<T>::max());
    if (std::is_unsigned_v<T>) return number >= 0;
    return number >= static_cast<std::int64_t>(std::numeric_limits<T>::min()) &&
           number <= static_cast<std::int64_t>(std::numeric_limits<T>::max());
  };
  if (!fits())
    throw Json::type_error::create(302, "not a whole number of this size: " + value.dump().substr(0, 40),
                                   nullptr);
  return value.template get<T>();
}

}  // namespace swarmsync
