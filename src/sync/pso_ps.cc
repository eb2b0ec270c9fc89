// pso-ps, parameter synchronization by particle swarm optimization (Ye, Han, Sun, Lv; IJCNN 2020;
// arXiv 2009.03816): worker i is a particle, its weights the position, its training loss f_i the fitness.
//
//   if f_i < best_i:  p_i <- y_i, best_i <- f_i           personal best
//   j = argmin_i f_i, or a random worker                  never one whose f is not finite
//   if f_j < best:    g <- y_j, best <- f_j               global best
//   s_i = c1 r1 (p_i - y_i) + c2 r2 (g - y_i)
//   swarm:     v_i <- w v_i + s_i,        x_i <- y_i + v_i
//   total:     v_i <- w v_i + d_i + s_i,  x_i <- x_i + v_i         d_i = y_i - x_i
//   nesterov:  v_i <- w v_i + d_i + s_i,  x_i <- y_i + s_i + w v_i
//
// The lowest rank wins a tie. Of weights that are not finite the fitness counts as not finite.
//
// An exchange is one all-gather of N doubles and, when the global best moved and c2 is not 0 (or the guard
// may need it), one broadcast of the weights from its finder. What the paper's text leaves open is an option
// (docs/synchronizers/pso-ps.md).
//
// Policies: buffers as `buffers` says; the optimizer's momentum as momentum_at_sync says; a fitness that is
// not finite never becomes a best, and its worker is pulled like the others. One that the guard leaves out
// forgets its best and goes on from the global best with no velocity. A worker that has finished stays where
// it is and sends +infinity.

#include <ATen/ATen.h>

#include <cmath>
#include <optional>

#include "swarmsync/swarm/bests.h"
#include "sync/algorithms.h"
#include "sync/fetched_weights.h"
#include "sync/particle.h"

namespace swarmsync {
namespace {

class PsoPs : public Synchronizer {
 public:
  PsoPs(FlatParams& params, Communicator& comm, const SyncOptions& options)
      : Synchronizer(params, comm, options),
        bests_(options.swarm.memory, options.swarm.memory_decay),
        next_bests_(bests_),
        particle_(params, options, comm) {
    if (remembers_personal()) personal_ = params.NewState();
    using Keeps = FetchedWeights::Keeps;
    if (fetches_guide())
      global_.emplace(params, options.wire, remembers_global() ? Keeps::kThose : Keeps::kNothing);
  }

  std::string_view name() const override { return "pso-ps"; }

 protected:
  double inertia() const override { return particle_.inertia(); }
  void StartHere() override {
    particle_.StartHere();
    if (global_) global_->StartHere();
  }
  void VisitAlgorithm(StateVisitor& state) override {
    state.Number("exchange", Held::kByAll, exchange_);
    bests_.VisitNumbers([&](const char* name, double& number, bool alike) {
      state.Number(name, alike ? Held::kByAll : Held::kByEach, number);
    });
    particle_.VisitState(state);
    state.Tensor("personal best", Held::kByEach, personal_);
    if (global_) global_->VisitState(state);
  }

  int Collect(const Turn& turn) override {
    const std::vector<double> fitness = GatherFitness(turn);
    const int guide = ChooseGuide(fitness);
    next_bests_ = bests_;
    verdict_ = next_bests_.Update(fitness, comm().rank(), guide);
    record().fitness = fitness;
    record().guide = guide;
    record().guide_moved = verdict_.global_replaced;
    if (verdict_.global_replaced && fetches_guide()) global_->Collect(guide, comm());
    particle_.Collect(fitness);
    return CountWorking(fitness);
  }

  void Apply(const Turn& turn, int) override {
    bests_ = next_bests_;
    if (verdict_.global_replaced && fetches_guide()) global_->Take(record().guide, comm());
    if (verdict_.personal_replaced && remembers_personal()) personal_.copy_(params().weights());
    particle_.Learn();
    if (turn.works()) Move();
    if (turn.role == Role::kLeftOut && std::isfinite(bests_.global())) {
      bests_.ForgetPersonal();
      particle_.Restart(global_->weights());
    }
    ++exchange_;
  }

 private:
  bool pulled_to_guide() const { return options().swarm.social != 0; }
  bool fetches_guide() const { return pulled_to_guide() || options().guard; }
  bool remembers_global() const { return options().swarm.memory != Memory::kCurrent; }
  bool remembers_personal() const { return options().swarm.cognitive != 0 && remembers_global(); }

  int ChooseGuide(const std::vector<double>& fitness) const {
    if (options().swarm.guide == Guide::kBest) return BestOf(fitness);
    return AnyOf(fitness, Philox(options().seed).Word(0, exchange_, 0, RandomPurpose::kGuide));
  }

  void Move() {
    const bool to_personal = std::isfinite(bests_.personal());
    const bool to_global = std::isfinite(bests_.global()) && pulled_to_guide();
    // Where the guide is this worker itself, its pull is nothing.
    MoveWeights(particle_.Move(to_personal ? personal_ : at::Tensor(),
                               to_global ? global_->weights() : at::Tensor(), exchange_, progress(),
                               carried(options().swarm.velocity)));
  }

  Bests bests_, next_bests_;  // those after the exchange that has been collected
  Bests::Verdict verdict_;    // of that
  Particle particle_;
  std::uint32_t exchange_ = 0;
  // Those that the options do not need stay empty.
  at::Tensor personal_;                   // p, like FlatParams::weights()
  std::optional<FetchedWeights> global_;  // g
};

}  // namespace

std::unique_ptr<Synchronizer> MakePsoPs(FlatParams& params, Communicator& comm, const SyncOptions& options) {
  return std::make_unique<Awaited<PsoPs>>(params, comm, options);
}

}  // namespace swarmsync
