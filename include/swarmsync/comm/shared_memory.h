#pragma once

#include <chrono>
#include <memory>

#include "swarmsync/comm/communicator.h"

namespace swarmsync {

// A group like `inner` that talks through memory which its processes share, where they are on one host and
// may look into each other; else `inner` itself. Of tensors on a GPU `inner` takes care in any case. The
// memory is 3 MB for each rank, whatever the size of the tensors, and goes with the last of its processes.
//
// Collective. timeout: for every wait. A rank that waits notices within a tenth of a second when a process
// that it waits for has gone. The environment variable SWARMSYNC_SHM_DISABLE=1, on any rank, leaves `inner`.
std::unique_ptr<Communicator> ThroughSharedMemory(std::unique_ptr<Communicator> inner,
                                                  std::chrono::duration<double> timeout);

}  // namespace swarmsync
