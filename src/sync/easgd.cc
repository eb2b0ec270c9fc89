// easgd, elastic averaging SGD, synchronous (Zhang, Choromanska and LeCun 2015): the workers and a center are
// tied by springs.
//
//   delta_i = alpha (y_i - c);  x_i <- y_i - delta_i;  c <- c + sum_i delta_i
//
// alpha is 0.9 / N unless given: the center then moves by 0.9 of the way to the workers' mean. It needs
// N alpha < 2. Every rank keeps the center; one all-reduce of the sum of y_i moves it:
// sum_i delta_i = alpha (sum_i y_i - n c).
//
// Departs from the paper: the paper's workers exchange one by one; here all do at once, after every round.
// Policies: buffers as `buffers` says; the optimizer's momentum as momentum_at_sync says; a worker whose
// weights are not finite spoils the center, unless the guard leaves it out: then it goes on from the center.
// A worker that has finished stays where it is.

#include <ATen/ATen.h>

#include "sync/algorithms.h"
#include "sync/blocks.h"
#include "sync/worker_sum.h"

namespace swarmsync {
namespace {

class Easgd : public Synchronizer {
 public:
  Easgd(FlatParams& params, Communicator& comm, const SyncOptions& options)
      : Synchronizer(params, comm, options),
        alpha_(options.peers.elastic_alpha > 0 ? options.peers.elastic_alpha : 0.9 / comm.size()),
        positions_(params, options.wire, comm),
        center_(params.weights().clone()) {}

  std::string_view name() const override { return "easgd"; }

 protected:
  void StartHere() override {
    center_.copy_(params().weights());
    positions_.StartHere();
  }
  void VisitAlgorithm(StateVisitor& state) override {
    state.Tensor("center", Held::kByAll, center_);
    positions_.VisitState(state);
  }
  at::Tensor position() override { return center_; }
  std::string_view shared_position() const override { return "center"; }

  int Collect(const Turn& turn) override { return positions_.Collect(turn.works(), comm()); }
  void Apply(const Turn& turn, int count) override {
    positions_.Take();
    MoveWeights([&](std::int64_t begin, std::int64_t end) {
      at::Tensor weights = BlockOf(params().weights(), begin, end), center = BlockOf(center_, begin, end);
      if (turn.works()) weights.lerp_(center, alpha_);
      center.mul_(1 - alpha_ * count).add_(BlockOf(positions_.sum(), begin, end), alpha_);
      if (turn.role == Role::kLeftOut) weights.copy_(center);
    });
  }

 private:
  double alpha_;
  WorkerSum positions_;
  at::Tensor center_;  // c, the same on all ranks
};

}  // namespace

std::unique_ptr<Synchronizer> MakeEasgd(FlatParams& params, Communicator& comm, const SyncOptions& options) {
  return std::make_unique<Awaited<Easgd>>(params, comm, options);
}

}  // namespace swarmsync
