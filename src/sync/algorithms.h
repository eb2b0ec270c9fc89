#pragma once

#include <memory>

#include "swarmsync/sync/synchronizer.h"

namespace swarmsync {

// One function for each algorithm, in the file of its name. Local: MakeSynchronizer() has checked the options
// and made the weights equal.
std::unique_ptr<Synchronizer> MakeSsgd(FlatParams& params, Communicator& comm, const SyncOptions& options);
std::unique_ptr<Synchronizer> MakeAverage(FlatParams& params, Communicator& comm, const SyncOptions& options);
std::unique_ptr<Synchronizer> MakePsoPs(FlatParams& params, Communicator& comm, const SyncOptions& options);

}  // namespace swarmsync
