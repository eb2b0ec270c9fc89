// average, parameter averaging after every round (PA, local SGD; McMahan et al. 2017, Stich 2019).
//
//   x_i <- (1/n) sum_j y_j                        over the n workers that have not finished
//
// Policies: buffers as `buffers` says; the optimizer's momentum as momentum_at_sync says; a worker whose
// weights are not finite spoils the mean, unless the guard leaves it out. A worker that has finished or was
// left out receives the mean and adds nothing to it.

#include <ATen/ATen.h>

#include "sync/algorithms.h"
#include "sync/worker_sum.h"

namespace swarmsync {
namespace {

class Average : public Synchronizer {
 public:
  Average(FlatParams& params, Communicator& comm, const SyncOptions& options)
      : Synchronizer(params, comm, options), mean_(params) {}

  std::string_view name() const override { return "average"; }

 protected:
  int DoExchange(const Turn& turn) override {
    const int count = mean_.Mean(params().weights(), turn.works(), comm());
    if (count > 0) params().weights().copy_(mean_.sum());
    return count;
  }

 private:
  WorkerSum mean_;
};

}  // namespace

std::unique_ptr<Synchronizer> MakeAverage(FlatParams& params, Communicator& comm,
                                          const SyncOptions& options) {
  return std::make_unique<Average>(params, comm, options);
}

}  // namespace swarmsync
