#pragma once

#include <mpi.h>

#include <chrono>
#include <memory>

#include "swarmsync/comm/communicator.h"

namespace swarmsync {

// The processes of an MPI communicator as a group of their own, which is a duplicate of it. In the library
// swarmsync::mpi, which is built where there is an MPI (SWARMSYNC_MPI). Starts MPI where nobody has, with
// MPI_THREAD_MULTIPLE, and then ends it when the process exits; who has started it himself must have asked
// for that level, for parts of a group may be used by other threads (Communicator::Split).
//
// Sums are taken in the order of the ranks, so that a training gives the same bits as over the other
// communicators. Tensors on a GPU go through the memory of the host. A rank that waits for longer than the
// timeout throws; memory that was passed to the collective may then still be written to, so let the process
// end. (mpirun ends all processes of a job when one of them dies.)
//
// Collective. Throws UsageError where MPI does not take threads, or the launcher is another MPI's than the
// library; CommError where MPI fails.
std::unique_ptr<Communicator> ConnectMpi(std::chrono::duration<double> timeout = std::chrono::seconds(60),
                                         MPI_Comm ranks = MPI_COMM_WORLD);

}  // namespace swarmsync
