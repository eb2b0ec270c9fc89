#include "sync/outer.h"

#include <ATen/ATen.h>

#include "sync/blocks.h"

namespace swarmsync {

OuterSynchronizer::OuterSynchronizer(FlatParams& params, Communicator& comm, const SyncOptions& options)
    : Synchronizer(params, comm, options),
      sum_(params, options.wire, comm),
      start_(params.weights().clone()),
      velocity_(params.NewState()) {}

void OuterSynchronizer::StartHere() {
  start_.copy_(params().weights());
  sum_.StartHere();
}

void OuterSynchronizer::VisitAlgorithm(StateVisitor& state) {
  state.Tensor("start", Held::kByAll, start_);
  state.Tensor("velocity", Held::kByAll, velocity_);
  sum_.VisitState(state);
}

int OuterSynchronizer::Collect(const Turn& turn) { return sum_.Collect(turn.works(), comm()); }

void OuterSynchronizer::Apply(const Turn&, int count) {
  sum_.Take();
  const double kept = carried();
  MoveWeights([&](std::int64_t begin, std::int64_t end) {
    at::Tensor start = BlockOf(start_, begin, end), velocity = BlockOf(velocity_, begin, end);
    at::Tensor mean = BlockOf(sum_.sum(), begin, end).mul_(1.0 / count);
    MoveOuter(start, mean, velocity, kept);
    BlockOf(params().weights(), begin, end).copy_(start);
  });
}

}  // namespace swarmsync
