#include "swarmsync/swarm/options.h"

#include <fmt/format.h>

namespace swarmsync {
namespace {

void Require(bool holds, const char* name, double value, const char* allowed) {
  if (!holds) throw UsageError(fmt::format("{} is {}; it must be {}", name, value, allowed));
}

}  // namespace

void Validate(const PsoOptions& options) {
  Require(options.inertia >= 0 && options.inertia < 1, "inertia", options.inertia, "at least 0 and below 1");
  Require(options.cognitive >= 0 && options.cognitive <= 4, "cognitive", options.cognitive, "from 0 to 4");
  Require(options.social >= 0 && options.social <= 4, "social", options.social, "from 0 to 4");
  Require(options.memory_decay >= 0 && options.memory_decay <= 1, "memory-decay", options.memory_decay,
          "from 0 to 1");
}

std::vector<std::string> Warnings(const PsoOptions& options) {
  std::vector<std::string> warnings;
  if (options.memory == Memory::kCurrent && options.cognitive != 0) {
    warnings.push_back(
        fmt::format("cognitive is {} and does nothing with memory 'current', where a worker's own best "
                    "is where it stands; take memory 'historic' or 'decay'",
                    options.cognitive));
  }
  return warnings;
}

}  // namespace swarmsync
