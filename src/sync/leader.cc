// leader, after Leader SGD (Teng et al. 2019): the workers are pulled to the best of them.
//
//   j = argmin_i f_i                              (ties: the lowest rank; never one that is not finite)
//   x_i <- y_i + c2 (y_j - y_i)
//
// An exchange is one all-gather of N doubles and one broadcast of the weights. Departs from the paper, which
// pulls at every step; here the pull comes at every exchange. It is pso-ps with its pull alone.
//
// Policies: buffers as `buffers` says; the optimizer's momentum as momentum_at_sync says; a worker whose
// fitness is not finite never leads and is pulled like the others. One that the guard leaves out goes on from
// the leader. One that has finished stays where it is.

#include <ATen/ATen.h>

#include "swarmsync/swarm/bests.h"
#include "sync/algorithms.h"
#include "sync/blocks.h"
#include "sync/fetched_weights.h"

namespace swarmsync {
namespace {

class Leader : public Synchronizer {
 public:
  Leader(FlatParams& params, Communicator& comm, const SyncOptions& options)
      : Synchronizer(params, comm, options), leader_(params, options.wire, FetchedWeights::Keeps::kNothing) {}

  std::string_view name() const override { return "leader"; }

 protected:
  void StartHere() override { leader_.StartHere(); }
  void VisitAlgorithm(StateVisitor& state) override { leader_.VisitState(state); }

  int Collect(const Turn& turn) override {
    const std::vector<double> fitness = GatherFitness(turn);
    const int best = BestOf(fitness);
    record().fitness = fitness;
    record().guide = best;
    record().guide_moved = best >= 0;
    if (best >= 0) leader_.Collect(best, comm());
    return CountWorking(fitness);
  }

  void Apply(const Turn& turn, int) override {
    const int best = record().guide;
    if (best < 0) return;
    leader_.Take(best, comm());
    if (best == comm().rank()) return;
    MoveWeights([&](std::int64_t begin, std::int64_t end) {
      at::Tensor weights = BlockOf(params().weights(), begin, end);
      const at::Tensor leader = BlockOf(leader_.weights(), begin, end);
      if (turn.works()) weights.lerp_(leader, options().swarm.social.value());
      if (turn.role == Role::kLeftOut) weights.copy_(leader);
    });
  }

 private:
  FetchedWeights leader_;
};

}  // namespace

std::unique_ptr<Synchronizer> MakeLeader(FlatParams& params, Communicator& comm, const SyncOptions& options) {
  return std::make_unique<Awaited<Leader>>(params, comm, options);
}

}  // namespace swarmsync
