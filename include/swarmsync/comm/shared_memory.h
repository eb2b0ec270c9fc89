#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "swarmsync/comm/communicator.h"

namespace swarmsync {

// A group like `inner` that talks through memory which its processes share, where they are on one host and
// may look into each other. Else a group that talks as `inner` does, and whose parts on one host (Split())
// share memory. Of tensors on a GPU `inner` takes care in any case. The memory is 3 MB for each rank,
// whatever the size of the tensors, and goes with the last of its processes.
//
// Collective. timeout: for every wait. A rank that waits notices within a tenth of a second when a process
// has gone. After a failure every call of every rank throws. host: ranks with the same text are on one host;
// "": what this one is known by. The environment variable SWARMSYNC_SHM_DISABLE=1, on any rank, leaves
// `inner`.
std::unique_ptr<Communicator> ThroughSharedMemory(std::unique_ptr<Communicator> inner,
                                                  std::chrono::duration<double> timeout,
                                                  std::string host = "");

}  // namespace swarmsync
