#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "swarmsync/comm/communicator.h"
#include "swarmsync/model/registry.h"

namespace swarmsync {

// Connects the ranks that a launcher has started.
using Connector = std::function<std::unique_ptr<Communicator>(std::chrono::duration<double> timeout)>;

// The whole `swarmsync` tool: parses the arguments, does what they say, prints, and returns the exit code. A
// program that adds models of its own to the registry gets the same tool with them. mpi: what --transport mpi
// uses, such as ConnectMpi() (comm/mpi.h); null: this tool has none. To be called once, from main().
int RunCommandLine(int argc, const char* const* argv, const ModelRegistry& models,
                   const Connector& mpi = nullptr);

}  // namespace swarmsync
