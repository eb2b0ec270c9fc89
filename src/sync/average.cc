// average, parameter averaging after every round (PA, local SGD; McMahan et al. 2017, Stich 2019).
//
//   x_i <- (1/n) sum_j y_j                        over the n workers that have not finished
//
// Policies: buffers stay local; the optimizer's momentum is kept; a worker whose weights are not finite
// spoils the mean. A worker that has finished receives the mean and adds nothing to it.

#include <ATen/ATen.h>

#include "sync/algorithms.h"

namespace swarmsync {
namespace {

class Average : public Synchronizer {
 public:
  Average(FlatParams& params, Communicator& comm, const SyncOptions& options)
      : Synchronizer(params, comm, options),
        message_(at::zeros({params.weights().numel() + 1}, params.weights().options())) {}

  std::string_view name() const override { return "average"; }

 protected:
  int DoExchange(const Turn& turn) override {
    const at::Tensor sum = message_.narrow(0, 0, params().weights().numel());
    const at::Tensor contributors = message_.select(0, -1);
    if (turn.contributes) {
      sum.copy_(params().weights());
      contributors.fill_(1);
    } else {
      message_.zero_();
    }
    comm().AllReduceSum(message_);
    const int count = contributors.item<int>();
    if (count > 0)
      at::mul_out(const_cast<at::Tensor&>(params().weights()), sum, at::scalar_tensor(1.0 / count));
    return count;
  }

 private:
  // [flat_size + 1]: the weights and the number of contributors. Not the weights themselves, so that a failed
  // all-reduce leaves those whole.
  at::Tensor message_;
};

}  // namespace

std::unique_ptr<Synchronizer> MakeAverage(FlatParams& params, Communicator& comm,
                                          const SyncOptions& options) {
  return std::make_unique<Average>(params, comm, options);
}

}  // namespace swarmsync
