#pragma once

#include <chrono>
#include <memory>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include "swarmsync/comm/communicator.h"

namespace swarmsync {

// The ranks of a process group of torch.distributed, whose backend sends tensors on the CPU from one rank to
// another (Gloo, MPI). Tensors on a GPU go through the memory of the host. timeout: the group's own, for the
// texts.
std::unique_ptr<Communicator> OverProcessGroup(c10::intrusive_ptr<c10d::ProcessGroup> group,
                                               std::chrono::milliseconds timeout);

}  // namespace swarmsync
