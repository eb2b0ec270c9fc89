#pragma once

#include "swarmsync/comm/communicator.h"
#include "swarmsync/params/flat_params.h"

namespace swarmsync {

// gradient <- (1/n) sum_i gradient_i over the n ranks that contribute, on all ranks; returns n. Without
// contributors the gradients become zero. Collective: one all-reduce.
int AverageGradients(const FlatParams& params, Communicator& comm, bool contributes);

}  // namespace swarmsync
