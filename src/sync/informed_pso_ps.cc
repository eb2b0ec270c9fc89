// informed-pso-ps, ours, after the fully informed particle swarm (Mendes, Kennedy and Neves 2004): the guide
// is not the one best worker but what all found in this round, weighted by fitness.
//
//   t_i = softmax_i(-beta (f_i - min f) / max(mean |f|, 1e-12))     over the workers with a finite f
//   g   = sum_i t_i y_i
//   v_i <- w v_i + d_i + c2 r2 (g - y_i);  x_i <- x_i + v_i         d_i = y_i - x_i
//   or with the velocity `nesterov`        x_i <- y_i + c2 r2 (g - y_i) + w v_i
//
// Departs from Mendes et al.: they use the neighbours' personal bests and constriction; here the guide is
// this round's, and the velocity carries the local displacement. With c2 = 1, beta = 0 and no randomness it
// is SlowMo with alpha = 1 and beta = w (Wang et al. 2020), or with `nesterov` DiLoCo with an outer learning
// rate of 1 and a momentum of w (Douillard et al. 2023); to them and BMUF (Chen and Huo 2016), which has
// both, the block momentum is due. With w = 0 too it is averaging.
//
// An exchange is one all-gather of N doubles and one all-reduce of the weights. Policies: buffers as
// `buffers` says; the optimizer's momentum as momentum_at_sync says; a worker whose fitness or weights are
// not finite has t_i = 0, sends zeros and, unless the guard leaves it out, is pulled like the others. One
// that the guard leaves out goes on from g with no velocity. One that has finished stays where it is.

#include <ATen/ATen.h>

#include "swarmsync/swarm/bests.h"
#include "swarmsync/swarm/informed.h"
#include "sync/algorithms.h"
#include "sync/particle.h"
#include "sync/worker_sum.h"

namespace swarmsync {
namespace {

SyncOptions OfInformed(SyncOptions options) {
  options.swarm.cognitive = 0;
  options.swarm.memory = Memory::kCurrent;
  return options;
}

class InformedPsoPs : public Synchronizer {
 public:
  InformedPsoPs(FlatParams& params, Communicator& comm, const SyncOptions& options)
      : Synchronizer(params, comm, OfInformed(options)),
        particle_(params, Synchronizer::options(), comm),
        guide_(params, options.wire, comm) {}

  std::string_view name() const override { return "informed-pso-ps"; }

 protected:
  double inertia() const override { return particle_.inertia(); }
  void StartHere() override {
    particle_.StartHere();
    guide_.StartHere();
  }
  void VisitAlgorithm(StateVisitor& state) override {
    state.Number("exchange", Held::kByAll, exchange_);
    particle_.VisitState(state);
    guide_.VisitState(state);
  }

  int Collect(const Turn& turn) override {
    const std::vector<double> fitness = GatherFitness(turn);
    const std::vector<double> weights = InformedWeights(fitness, options().swarm.beta);
    record().fitness = fitness;
    record().guide = BestOf(fitness);
    record().guide_moved = record().guide >= 0;
    if (record().guide >= 0) guide_.CollectWeighted(weights, comm());
    particle_.Collect(fitness);
    return CountWorking(fitness);
  }

  void Apply(const Turn& turn, int) override {
    at::Tensor guide;
    if (record().guide >= 0) {
      guide_.Take();
      guide = guide_.sum();
    }
    particle_.Learn();
    if (turn.works()) {
      const double kept = carried(options().swarm.velocity);
      MoveWeights(particle_.Move({}, guide, exchange_, progress(), kept));
    }
    if (turn.role == Role::kLeftOut && guide.defined()) particle_.Restart(guide);
    ++exchange_;
  }

 private:
  Particle particle_;
  WorkerSum guide_;
  std::uint32_t exchange_ = 0;
};

}  // namespace

std::unique_ptr<Synchronizer> MakeInformedPsoPs(FlatParams& params, Communicator& comm,
                                                const SyncOptions& options) {
  return std::make_unique<Awaited<InformedPsoPs>>(params, comm, options);
}

}  // namespace swarmsync
