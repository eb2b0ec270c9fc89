#include "checkpoint/optimizer_state.h"

#include <fmt/format.h>
#include <torch/version.h>

#include <memory>
#include <string>
#include <utility>

#include "swarmsync/base/error.h"
#include "swarmsync/checkpoint/state.h"

namespace swarmsync {
namespace {

// libtorch 1.13 looks an optimizer's state up by text, 2.x by address.
#if TORCH_VERSION_MAJOR >= 2
void* KeyOf(const at::Tensor& parameter) { return parameter.unsafeGetTensorImpl(); }
#else
std::string KeyOf(const at::Tensor& parameter) {
  return c10::guts::to_string(parameter.unsafeGetTensorImpl());
}
#endif

// What is loaded into, so that what is saved must be there and fit.
void Prepare(torch::optim::SGDParamState& empty, const at::Tensor& parameter,
             const torch::optim::SGDOptions&) {
  empty.momentum_buffer(at::empty_like(parameter));
}
template <class AdamState, class AdamOptions>
void Prepare(AdamState& empty, const at::Tensor& parameter, const AdamOptions& options) {
  empty.exp_avg(at::empty_like(parameter));
  empty.exp_avg_sq(at::empty_like(parameter));
  if (options.amsgrad()) empty.max_exp_avg_sq(at::empty_like(parameter));
}

// libtorch's accessors give references, which are loaded into.
void Visit(StateVisitor& state, torch::optim::SGDParamState& kept) {
  at::Tensor momentum = kept.momentum_buffer();
  state.Tensor("momentum", Held::kByEach, momentum);
  kept.momentum_buffer(momentum);
}
template <class AdamState>
void Visit(StateVisitor& state, AdamState& kept) {
  std::int64_t steps = kept.step();
  at::Tensor first = kept.exp_avg(), second = kept.exp_avg_sq(), largest = kept.max_exp_avg_sq();
  state.Number("steps", Held::kByEach, steps);
  state.Tensor("first moment", Held::kByEach, first);
  state.Tensor("second moment", Held::kByEach, second);
  state.Tensor("largest second moment", Held::kByEach, largest);
  kept.step(steps);
  kept.exp_avg(first);
  kept.exp_avg_sq(second);
  kept.max_exp_avg_sq(largest);
}

template <class ParamState, class Options>
void VisitParam(StateVisitor& state, torch::optim::Optimizer& optimizer, const at::Tensor& parameter,
                const Options& options) {
  auto* const present = static_cast<ParamState*>(ParamStateOf(optimizer, parameter));
  bool kept = present != nullptr;
  state.Number("kept", Held::kByEach, kept);
  if (!kept) {
    if (state.loads()) optimizer.state().erase(KeyOf(parameter));
    return;
  }
  if (!state.loads()) return Visit(state, *present);
  auto loaded = std::make_unique<ParamState>();
  Prepare(*loaded, parameter, options);
  Visit(state, *loaded);
  optimizer.state()[KeyOf(parameter)] = std::move(loaded);
}

}  // namespace

torch::optim::OptimizerParamState* ParamStateOf(torch::optim::Optimizer& optimizer,
                                                const at::Tensor& parameter) {
  const auto found = optimizer.state().find(KeyOf(parameter));
  return found == optimizer.state().end() ? nullptr : found->second.get();
}

void VisitState(StateVisitor& state, torch::optim::Optimizer& optimizer) {
  int number = 0;
  for (const auto& group : optimizer.param_groups()) {
    for (const at::Tensor& parameter : group.params()) {
      const StateVisitor::Within within(state, fmt::format("optimizer.{}", number++));
      const torch::optim::OptimizerOptions& options = group.options();
      if (const auto* sgd = dynamic_cast<const torch::optim::SGDOptions*>(&options)) {
        VisitParam<torch::optim::SGDParamState>(state, optimizer, parameter, *sgd);
      } else if (const auto* adam = dynamic_cast<const torch::optim::AdamOptions*>(&options)) {
        VisitParam<torch::optim::AdamParamState>(state, optimizer, parameter, *adam);
      } else if (const auto* adamw = dynamic_cast<const torch::optim::AdamWOptions*>(&options)) {
        VisitParam<torch::optim::AdamWParamState>(state, optimizer, parameter, *adamw);
      } else {
        throw UsageError("this optimizer's state cannot be saved; SGD's, Adam's and AdamW's can");
      }
    }
  }
}

}  // namespace swarmsync
