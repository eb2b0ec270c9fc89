#pragma once

#include <cctype>
#include <string>

namespace swarmsync::testing {

// A text as the name of a parameterized test: what gtest does not take becomes '_'.
inline std::string TestName(std::string text) {
  for (char& c : text) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return text;
}

}  // namespace swarmsync::testing
