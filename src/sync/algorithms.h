#pragma once

#include <memory>

#include "swarmsync/sync/synchronizer.h"

namespace swarmsync {

// One function for each algorithm, in the file of its name. Local: MakeSynchronizer() has checked the options
// and made the weights equal.
std::unique_ptr<Synchronizer> MakeAverage(FlatParams& params, Communicator& comm, const SyncOptions& options);
std::unique_ptr<Synchronizer> MakeDiLoCo(FlatParams& params, Communicator& comm, const SyncOptions& options);
std::unique_ptr<Synchronizer> MakeEasgd(FlatParams& params, Communicator& comm, const SyncOptions& options);
std::unique_ptr<Synchronizer> MakeInformedPsoPs(FlatParams& params, Communicator& comm,
                                                const SyncOptions& options);
std::unique_ptr<Synchronizer> MakeLeader(FlatParams& params, Communicator& comm, const SyncOptions& options);
std::unique_ptr<Synchronizer> MakePsoPs(FlatParams& params, Communicator& comm, const SyncOptions& options);
std::unique_ptr<Synchronizer> MakeSlowMo(FlatParams& params, Communicator& comm, const SyncOptions& options);
std::unique_ptr<Synchronizer> MakeSsgd(FlatParams& params, Communicator& comm, const SyncOptions& options);

// The algorithm, which stays whole until an exchange that is under way has ended.
template <class Algorithm>
class Awaited final : public Algorithm {
 public:
  using Algorithm::Algorithm;
  ~Awaited() override { this->AwaitExchange(); }
};

}  // namespace swarmsync
