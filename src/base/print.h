#pragma once

#include <cstdio>
#include <string>

namespace swarmsync {

// Prints what only a person reads, as far as the stream takes it: a log on a full disk must not end what it is
// about.
inline void PrintText(std::FILE* stream, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

// A line of this program's own on standard error.
inline void Say(const std::string& message) { PrintText(stderr, "swarmsync: " + message + "\n"); }

}  // namespace swarmsync
