// ssgd, synchronous SGD: at every step the gradients' mean over the workers (gradient_mean.h), then the
// optimizer's step, the same on all of them. With equal shards it is SGD on the N-fold batch.
//
// The weights stay equal because they start equal and every worker applies the same gradient. Policies:
// the buffers of the final model are the mean of the workers'; the optimizer's momentum is kept (it is the
// same everywhere); a worker whose loss is not finite spoils all replicas. A worker that has finished no
// longer takes steps; at the end it receives the weights of the one that made the most.

#include <ATen/ATen.h>

#include "sync/algorithms.h"

namespace swarmsync {
namespace {

SyncOptions EveryStep(SyncOptions options) {
  options.period = 1;
  options.round_ends.clear();
  return options;
}

class Ssgd : public Synchronizer {
 public:
  Ssgd(FlatParams& params, Communicator& comm, const SyncOptions& options)
      : Synchronizer(params, comm, EveryStep(options)) {}

  std::string_view name() const override { return "ssgd"; }

 protected:
  bool only_gradients() const override { return true; }
  std::string_view shared_position() const override { return "replica"; }
  int Collect(const Turn&) override { return 0; }  // not called: gradients are all that it exchanges
  void Apply(const Turn&, int) override {}
  void Settle(int longest) override { comm().Broadcast(params().weights(), longest); }
};

}  // namespace

std::unique_ptr<Synchronizer> MakeSsgd(FlatParams& params, Communicator& comm, const SyncOptions& options) {
  return std::make_unique<Ssgd>(params, comm, options);
}

}  // namespace swarmsync
