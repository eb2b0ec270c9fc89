// slowmo, slow momentum (Wang, Tantia, Ballas and Rabbat 2020). With alpha = 1 it is classical block
// momentum, BMUF (Chen and Huo 2016); with beta = 0 too it is averaging.
//
//   v <- beta v + (mean_i y_i - x);  x <- x + alpha v
//
// The paper's u is -v / lr, which makes v follow the learning rate. Here v is multiplied by
// Synchronizer::carried() before, the same where the rate falls between rounds of one length; where it rises
// v stays.

#include <ATen/ATen.h>

#include "sync/algorithms.h"
#include "sync/outer.h"

namespace swarmsync {
namespace {

class SlowMo : public OuterSynchronizer {
 public:
  using OuterSynchronizer::OuterSynchronizer;
  std::string_view name() const override { return "slowmo"; }

 protected:
  void MoveOuter(at::Tensor& start, at::Tensor& mean, at::Tensor& velocity, double carried) override {
    velocity.mul_(carried * *options().peers.slow_beta).add_(mean.sub_(start));
    start.add_(velocity, options().peers.slow_alpha);
  }
};

}  // namespace

std::unique_ptr<Synchronizer> MakeSlowMo(FlatParams& params, Communicator& comm, const SyncOptions& options) {
  return std::make_unique<Awaited<SlowMo>>(params, comm, options);
}

}  // namespace swarmsync
