#include "train/renew_statistics.h"

#include <torch/torch.h>

#include <utility>
#include <vector>

namespace swarmsync {
namespace {

// The buffers that are no floats.
class Counters {
 public:
  explicit Counters(ImageClassifier& model) {
    for (const at::Tensor& buffer : model.buffers()) {
      if (!buffer.is_floating_point()) counters_.emplace_back(buffer, buffer.clone());
    }
  }
  void PutBack() const {
    for (const auto& [counter, before] : counters_) counter.copy_(before);
  }

 private:
  std::vector<std::pair<at::Tensor, at::Tensor>> counters_;
};

}  // namespace

void RenewStatistics(ImageClassifier& model, const at::Tensor& buffers, std::int64_t batches,
                     const std::function<void()>& load, const std::function<void()>& show) {
  constexpr double kLeastRate = 1e-5;
  torch::NoGradGuard no_grad;
  const at::Tensor before = buffers.clone();
  const Counters counters(model);
  const auto shown_from = [&](const at::Tensor& start) {
    buffers.copy_(start);
    show();
    counters.PutBack();  // where m depends on the number of passes, it is the same for all of these
    return buffers.clone();
  };
  const bool was_training = model.is_training();
  model.train();
  load();
  const at::Tensor zero = at::zeros_like(buffers);
  at::Tensor sum = shown_from(zero);  // m b
  // A start as large as the number itself, so that little of the difference is lost in rounding.
  const at::Tensor start = sum.abs().clamp_min(1);
  const at::Tensor rate = 1 - (shown_from(start) - sum) / start;  // m
  for (std::int64_t batch = 1; batch < batches; ++batch) {
    load();
    sum += shown_from(zero);
  }
  const at::Tensor is_average = (rate > kLeastRate).logical_and(sum.isfinite());
  buffers.copy_(at::where(is_average, sum / (rate * static_cast<double>(batches)), before));
  model.train(was_training);
}

}  // namespace swarmsync
