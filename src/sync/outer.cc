#include "sync/outer.h"

#include <ATen/ATen.h>

namespace swarmsync {

OuterSynchronizer::OuterSynchronizer(FlatParams& params, Communicator& comm, const SyncOptions& options)
    : Synchronizer(params, comm, options),
      mean_(params),
      start_(params.weights().clone()),
      velocity_(params.NewState()) {}

void OuterSynchronizer::StartHere() { start_.copy_(params().weights()); }

int OuterSynchronizer::DoExchange(const Turn& turn) {
  const int count = mean_.Mean(params().weights(), turn.works(), comm());
  if (count == 0) return 0;
  at::Tensor mean = mean_.sum();
  MoveOuter(start_, mean, velocity_);
  params().weights().copy_(start_);
  return count;
}

}  // namespace swarmsync
