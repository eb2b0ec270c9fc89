#include "swarmsync/base/error.h"

#include <cstring>

namespace swarmsync {

Interrupted::Interrupted(int signal)
    : std::runtime_error(std::string("stopped by signal ") + std::to_string(signal) + " (" +
                         strsignal(signal) + ")"),
      signal_(signal) {}

}  // namespace swarmsync
