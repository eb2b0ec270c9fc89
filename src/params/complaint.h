#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>

#include "swarmsync/base/error.h"

namespace swarmsync {

// Throws for one file of weights: every complaint names it and ends with what to do.
class Complaint {
 public:
  explicit Complaint(const std::filesystem::path& path, std::string remedy = "save or copy it again")
      : path_(path.string()), remedy_(std::move(remedy)) {}

  template <class... Args>
  [[noreturn]] void operator()(fmt::format_string<Args...> what, Args&&... args) const {
    std::string said = fmt::format(what, std::forward<Args>(args)...);
    // A name in a file may hold anything, and an error is one line.
    if (said.size() > kLongest) said = said.substr(0, kLongest) + "…";
    std::replace_if(
        said.begin(), said.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
    throw DataError(fmt::format("{} is not a usable model file: {}; {}", path_, said, remedy_));
  }

 private:
  static constexpr std::size_t kLongest = 1000;

  std::string path_, remedy_;
};

}  // namespace swarmsync
