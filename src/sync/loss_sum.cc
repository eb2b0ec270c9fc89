#include "swarmsync/sync/loss_sum.h"

#include <ATen/ATen.h>

namespace swarmsync {

void LossSum::Add(const at::Tensor& loss) {
  ++count_;
  if (loss.is_cpu()) {
    sum_ += loss.item<double>();
    return;
  }
  if (!device_sum_.defined()) device_sum_ = at::zeros({}, loss.options().dtype(at::kDouble));
  device_sum_.add_(loss.detach());
}

double LossSum::Total() const { return sum_ + (device_sum_.defined() ? device_sum_.item<double>() : 0.0); }

void LossSum::VisitState(StateVisitor& state) {
  state.Number("count", Held::kByEach, count_);
  state.Number("sum", Held::kByEach, sum_);
  state.Tensor("sum on the device", Held::kByEach, device_sum_, at::scalar_tensor(0, at::kDouble));
}

}  // namespace swarmsync
