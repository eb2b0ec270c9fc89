#include "train/optimizer.h"

#include <torch/torch.h>

#include <algorithm>
#include <type_traits>
#include <utility>

namespace swarmsync {
namespace {

at::Tensor WholeOf(const FlatParams& params) {
  at::Tensor weights = params.weights().detach();
  weights.mutable_grad() = params.gradients().detach();
  return weights;
}

bool Decays(const FlatParams::Slot& slot, bool decay_all) {
  return slot.trains && (decay_all || slot.sizes.size() > 1);
}

// Weight decay for each weight: `decay`, or 0.
at::Tensor DecayOfEach(const FlatParams& params, double decay, bool decay_all) {
  const at::Tensor of_each = params.NewState();
  for (const FlatParams::Slot& slot : params.slots()) {
    if (Decays(slot, decay_all)) of_each.narrow(0, slot.offset, slot.size).fill_(decay);
  }
  return of_each;
}

// An optimizer of one tensor, whose weights decay each at a rate of its own: through the gradient, or, with
// AdamW, by themselves.
template <class Optimizer, class Options>
class WithDecayOfEach : public Optimizer {
 public:
  WithDecayOfEach(at::Tensor weights, const Options& options, at::Tensor decay)
      : Optimizer(std::vector<at::Tensor>{weights}, options),
        weights_(std::move(weights)),
        decay_(std::move(decay)) {}

  at::Tensor step(torch::optim::Optimizer::LossClosure closure = nullptr) override {
    {
      torch::NoGradGuard no_grad;
      if constexpr (std::is_same_v<Optimizer, torch::optim::AdamW>) {
        weights_.addcmul_(decay_, weights_, -this->param_groups()[0].options().get_lr());
      } else {
        weights_.mutable_grad().addcmul_(decay_, weights_);
      }
    }
    return Optimizer::step(std::move(closure));
  }

 private:
  at::Tensor weights_, decay_;
};

template <class Optimizer, class Options>
std::unique_ptr<torch::optim::Optimizer> Make(const TrainConfig& config, Options options,
                                              const FlatParams& params) {
  const auto& slots = params.slots();
  const bool alike = std::all_of(slots.begin(), slots.end(), [&](const FlatParams::Slot& slot) {
    return Decays(slot, config.decay_all);
  });
  if (alike || config.weight_decay == 0) {
    return std::make_unique<Optimizer>(std::vector<at::Tensor>{WholeOf(params)},
                                       options.weight_decay(config.weight_decay));
  }
  return std::make_unique<WithDecayOfEach<Optimizer, Options>>(
      WholeOf(params), options.weight_decay(0), DecayOfEach(params, config.weight_decay, config.decay_all));
}

}  // namespace

std::unique_ptr<torch::optim::Optimizer> MakeOptimizer(const TrainConfig& config, double lr,
                                                       const FlatParams& params) {
  if (config.optimizer == OptimizerKind::kAdamW) {
    return Make<torch::optim::AdamW>(config, torch::optim::AdamWOptions(lr), params);
  }
  return Make<torch::optim::SGD>(
      config, torch::optim::SGDOptions(lr).momentum(config.momentum).nesterov(config.nesterov), params);
}

}  // namespace swarmsync
