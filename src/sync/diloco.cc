// diloco (Douillard et al. 2023): SGD with Nesterov momentum as the outer optimizer, over any inner one; what
// the workers moved is its gradient. Over plain SGD it is BMUF with Nesterov block momentum (Chen and Huo
// 2016); with outer lr 1 and no momentum it is averaging.
//
//   d = mean_i y_i - x;  u <- mu u + d;  x <- x + lr (d + mu u)       lr = outer_lr, mu = outer_momentum
//
// This is torch.optim.SGD(lr, momentum=mu, nesterov=True) with -d as the gradient; mu = 0 is plain SGD.

#include <ATen/ATen.h>

#include "sync/algorithms.h"
#include "sync/outer.h"

namespace swarmsync {
namespace {

class DiLoCo : public OuterSynchronizer {
 public:
  using OuterSynchronizer::OuterSynchronizer;
  std::string_view name() const override { return "diloco"; }

 protected:
  void MoveOuter(at::Tensor& start, at::Tensor& mean, at::Tensor& velocity, double) override {
    const double lr = options().peers.outer_lr, momentum = options().peers.outer_momentum;
    at::Tensor& move = mean.sub_(start);
    velocity.mul_(momentum).add_(move);
    start.add_(move, lr).add_(velocity, lr * momentum);
  }
};

}  // namespace

std::unique_ptr<Synchronizer> MakeDiLoCo(FlatParams& params, Communicator& comm, const SyncOptions& options) {
  return std::make_unique<Awaited<DiLoCo>>(params, comm, options);
}

}  // namespace swarmsync
