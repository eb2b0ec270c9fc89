#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

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

// The whole number that a value is. The library's own conversion takes 1e300 too, and makes anything of it.
// Throws Json::exception.
template <class Json>
std::int64_t WholeNumber(const Json& value) {
  if (!value.is_number_integer()) {
    throw Json::type_error::create(302, std::string("whole number expected, found ") + value.type_name(),
                                   nullptr);
  }
  return value.template get<std::int64_t>();
}

}  // namespace swarmsync
