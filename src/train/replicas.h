#pragma once

#include <string>
#include <vector>

#include "swarmsync/checkpoint/state.h"
#include "swarmsync/comm/communicator.h"
#include "swarmsync/sync/synchronizer.h"

namespace swarmsync {

// Compares, by checksum, what all workers hold alike. Collective. Throws RunError, on all ranks, that names
// the first piece of state that differs and the workers that differ from the others.
void CompareReplicas(Synchronizer& sync, Communicator& comm);

// What differs between the ranks, in words; "" when nothing does. Pure.
std::string DescribeMismatch(const std::vector<std::vector<StateDigest::Piece>>& ranks);

}  // namespace swarmsync
