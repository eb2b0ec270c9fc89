// pso-ps, parameter synchronization by particle swarm optimization (Ye, Han, Sun, Lv; IJCNN 2020;
// arXiv 2009.03816): worker i is a particle, its weights the position, its training loss f_i the fitness.
//
//   if f_i < best_i:  p_i <- y_i, best_i <- f_i           personal best
//   j = argmin_i f_i                                      (ties: the lowest rank; never one that is not
//   finite) if f_j < best:    g <- y_j, best <- f_j               global best s_i = c1 r1 (p_i - y_i) + c2 r2
//   (g - y_i) swarm:  v_i <- w v_i + s_i,        x_i <- y_i + v_i total:  v_i <- w v_i + d_i + s_i,  x_i <-
//   x_i + v_i   d_i = y_i - x_i
//
// An exchange is one all-gather of N doubles and, when the global best moved and c2 is not 0, one broadcast
// of the weights from its finder. What the paper's text leaves open is an option (docs/pso-ps.md).
//
// Policies: buffers stay local; the optimizer's momentum is kept; a fitness that is not finite never becomes
// a best, and its worker is pulled like the others. A worker that has finished stays where it is and sends
// +infinity.

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "swarmsync/swarm/bests.h"
#include "swarmsync/swarm/update.h"
#include "sync/algorithms.h"

namespace swarmsync {
namespace {

class PsoPs : public Synchronizer {
 public:
  PsoPs(FlatParams& params, Communicator& comm, const SyncOptions& options)
      : Synchronizer(params, comm, options),
        bests_(options.swarm.memory, options.swarm.memory_decay),
        velocity_(params.NewState()) {
    if (options.swarm.velocity == Velocity::kTotal) start_ = params.weights().clone();
    if (remembers_personal()) personal_ = params.NewState();
    if (pulled_to_guide()) global_ = params.NewState();
    if (pulled_to_guide() && remembers_global()) incoming_ = params.NewState();
  }

  std::string_view name() const override { return "pso-ps"; }

 protected:
  int DoExchange(const Turn& turn) override {
    const std::vector<double> fitness = comm().AllGather(FitnessToSend(turn));
    const Bests::Verdict verdict = bests_.Update(fitness, comm().rank());
    record() = {fitness, verdict.guide, verdict.global_replaced};
    if (verdict.global_replaced && pulled_to_guide()) FetchGuide(verdict.guide);
    if (verdict.personal_replaced && remembers_personal()) personal_.copy_(params().weights());
    if (turn.contributes) Move();
    ++exchange_;
    return static_cast<int>(fitness.size() - std::count(fitness.begin(), fitness.end(), kNoFitness));
  }

 private:
  bool pulled_to_guide() const { return options().swarm.social != 0; }
  bool remembers_global() const { return options().swarm.memory != Memory::kCurrent; }
  bool remembers_personal() const { return options().swarm.cognitive != 0 && remembers_global(); }

  static double FitnessToSend(const Turn& turn) {
    if (!turn.contributes) return kNoFitness;
    return std::isfinite(turn.fitness) ? turn.fitness : std::numeric_limits<double>::quiet_NaN();
  }

  // Brings the guide's weights to everybody. They arrive in a tensor of their own, so that a broadcast that
  // fails leaves the remembered best whole. The guide itself sends its weights from where they are.
  void FetchGuide(int guide) {
    const bool is_guide = guide == comm().rank();
    at::Tensor& arriving = remembers_global() ? incoming_ : global_;
    comm().Broadcast(is_guide ? params().weights() : arriving, guide);
    if (is_guide) {
      global_.copy_(params().weights());
    } else if (remembers_global()) {
      std::swap(global_, incoming_);
    }
  }

  void Move() {
    const auto at = [](const at::Tensor& flat, std::int64_t offset) {
      return flat.defined() ? flat.data_ptr<float>() + offset : nullptr;
    };
    const bool has_personal = std::isfinite(bests_.personal()), has_global = std::isfinite(bests_.global());
    RandomFactors random{Philox(options().seed), options().swarm.random, exchange_,
                         static_cast<std::uint32_t>(comm().rank())};
    for (const FlatParams::Slot& slot : params().slots()) {
      ParticleSpan span;
      span.size = slot.size;
      span.weights = at(params().weights(), slot.offset);
      span.velocity = at(velocity_, slot.offset);
      span.start = at(start_, slot.offset);
      if (has_personal) span.personal_best = at(personal_, slot.offset);
      if (has_global) span.global_best = at(global_, slot.offset);
      random.first_element = static_cast<std::uint64_t>(slot.logical_offset);
      MoveParticle(span, options().swarm, random);
      ++random.tensor;
    }
  }

  Bests bests_;
  std::uint32_t exchange_ = 0;
  // All like FlatParams::weights(); those that the options do not need stay undefined.
  at::Tensor velocity_;
  at::Tensor start_;     // x, where the round began
  at::Tensor personal_;  // p
  at::Tensor global_;    // g
  at::Tensor incoming_;  // where a new g arrives
};

}  // namespace

std::unique_ptr<Synchronizer> MakePsoPs(FlatParams& params, Communicator& comm, const SyncOptions& options) {
  return std::make_unique<PsoPs>(params, comm, options);
}

}  // namespace swarmsync
