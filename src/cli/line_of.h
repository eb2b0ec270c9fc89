#pragma once

#include <exception>
#include <new>
#include <string>

#include "base/first_line.h"
#include "swarmsync/base/error.h"

namespace swarmsync {

// What an exception says, in one line. libtorch's carry a stack trace, and say that memory is out in several
// ways.
inline std::string LineOf(const std::exception& error) {
  const std::string text = error.what();
  const bool is_ours = dynamic_cast<const Error*>(&error) != nullptr;
  bool out_of_memory = dynamic_cast<const std::bad_alloc*>(&error) != nullptr;
  for (const char* words : {"not enough memory", "out of memory", "can't allocate memory"}) {
    out_of_memory = out_of_memory || text.find(words) != std::string::npos;
  }
  if (out_of_memory && !is_ours)
    return "out of memory; use fewer workers, a smaller batch or a smaller model";
  return FirstLine(text);
}

}  // namespace swarmsync
