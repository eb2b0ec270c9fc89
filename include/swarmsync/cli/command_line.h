#pragma once

#include "swarmsync/model/registry.h"

namespace swarmsync {

// The whole `swarmsync` tool: parses the arguments, does what they say, prints, and returns the exit code. A
// program that adds models of its own to the registry gets the same tool with them. To be called once, from
// main().
int RunCommandLine(int argc, const char* const* argv, const ModelRegistry& models);

}  // namespace swarmsync
