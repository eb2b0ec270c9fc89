// average, parameter averaging after every round (PA, local SGD; McMahan et al. 2017, Stich 2019).
//
//   x_i <- (1/n) sum_j y_j                        over the n workers that have not finished
//
// Policies: buffers as `buffers` says; the optimizer's momentum as momentum_at_sync says; a worker whose
// weights are not finite spoils the mean, unless the guard leaves it out. A worker that has finished or was
// left out receives the mean and adds nothing to it.

#include <ATen/ATen.h>

#include "sync/algorithms.h"
#include "sync/blocks.h"
#include "sync/worker_sum.h"

namespace swarmsync {
namespace {

class Average : public Synchronizer {
 public:
  Average(FlatParams& params, Communicator& comm, const SyncOptions& options)
      : Synchronizer(params, comm, options), sum_(params, options.wire, comm) {}

  std::string_view name() const override { return "average"; }

 protected:
  void StartHere() override { sum_.StartHere(); }
  void VisitAlgorithm(StateVisitor& state) override { sum_.VisitState(state); }

  int Collect(const Turn& turn) override { return sum_.Collect(turn.works(), comm()); }
  void Apply(const Turn&, int count) override {
    sum_.Take();
    MoveWeights([&](std::int64_t begin, std::int64_t end) {
      at::Tensor weights = BlockOf(params().weights(), begin, end);
      at::mul_out(weights, BlockOf(sum_.sum(), begin, end), at::scalar_tensor(1.0 / count));
    });
  }

 private:
  WorkerSum sum_;
};

}  // namespace

std::unique_ptr<Synchronizer> MakeAverage(FlatParams& params, Communicator& comm,
                                          const SyncOptions& options) {
  return std::make_unique<Awaited<Average>>(params, comm, options);
}

}  // namespace swarmsync
