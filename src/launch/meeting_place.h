#pragma once

#include "swarmsync/comm/gloo.h"
#include "swarmsync/launch/environment.h"

namespace swarmsync {

// Where the ranks of a job meet, the same for all of them. In this order: the file of swarmsync's own
// supervisor; MASTER_ADDR and MASTER_PORT, where there is a store of rank 0's or of torchrun's agent. Without
// those, ranks that are all on one host and that mpirun or srun has started meet in a file that is named
// after their job, in a directory that only the user can read; and srun's on several hosts at a port, named
// after their step, of the first host. Throws UsageError where the variables do not say.
Rendezvous MeetingPlaceOf(const LaunchedRank& launched, const EnvironmentLookup& lookup);

}  // namespace swarmsync
