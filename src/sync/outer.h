#pragma once

#include "swarmsync/sync/synchronizer.h"
#include "sync/worker_sum.h"

namespace swarmsync {

// What the synchronizers with an outer optimizer share: all workers begin a round at the same x, the mean of
// where they end is known to all, and a rule moves x. Policies: buffers as `buffers` says; the local
// optimizer's momentum as momentum_at_sync says; a worker whose weights are not finite spoils the mean,
// unless the guard leaves it out. A worker that has finished or was left out goes where the others go.
class OuterSynchronizer : public Synchronizer {
 public:
  OuterSynchronizer(FlatParams& params, Communicator& comm, const SyncOptions& options);

 protected:
  // start <- where the next round begins. mean: of the workers' y, to be used up; velocity: the rule's own
  // memory, zero at first, of which `carried` is this round's (Synchronizer::carried()). For blocks of the
  // flat tensors, from several threads.
  virtual void MoveOuter(at::Tensor& start, at::Tensor& mean, at::Tensor& velocity, double carried) = 0;

  void StartHere() final;
  int Collect(const Turn& turn) final;
  void Apply(const Turn& turn, int workers) final;
  void VisitAlgorithm(StateVisitor& state) final;

 private:
  WorkerSum sum_;
  at::Tensor start_;     // x, where the round began, the same on all ranks
  at::Tensor velocity_;  // likewise
};

}  // namespace swarmsync
