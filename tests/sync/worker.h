#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "params/plain_parameters.h"
#include "swarmsync/params/flat_params.h"
#include "swarmsync/sync/synchronizer.h"

namespace swarmsync::testing {

using Floats = std::vector<float>;

// The values of a flat tensor without the padding between its slots. [num_params]
inline Floats Values(const FlatParams& params, const at::Tensor& flat) {
  Floats values;
  for (const auto& slot : params.slots()) {
    const float* begin = flat.data_ptr<float>() + slot.offset;
    values.insert(values.end(), begin, begin + slot.size);
  }
  return values;
}

// A flat tensor of such values.
inline at::Tensor Flat(const FlatParams& params, const Floats& values) {
  const at::Tensor flat = params.NewState();
  for (const auto& slot : params.slots()) {
    std::copy_n(values.begin() + slot.logical_offset, slot.size, flat.data_ptr<float>() + slot.offset);
  }
  return flat;
}

// A worker that a test moves by hand.
class HandDrivenWorker {
 public:
  explicit HandDrivenWorker(const std::vector<std::int64_t>& lengths) : module_(lengths), params_(module_) {}

  FlatParams& params() { return params_; }
  std::vector<at::Tensor> parameters() const { return module_.parameters(); }
  Floats weights() const { return Values(params_, params_.weights()); }
  Floats gradients() const { return Values(params_, params_.gradients()); }

  void SetWeights(const Floats& values) { Writable(params_.weights()).copy_(Flat(params_, values)); }
  void SetGradients(const Floats& values) { Writable(params_.gradients()).copy_(Flat(params_, values)); }
  // A local step: weights += scale * values.
  void Add(const Floats& values, double scale = 1) {
    Writable(params_.weights()).add_(Flat(params_, values), scale);
  }

 private:
  static at::Tensor Writable(const at::Tensor& tensor) { return tensor; }

  PlainParameters module_;
  FlatParams params_;
};

// One weight that falls by `slope` at each step.
class Faller {
 public:
  explicit Faller(float slope, double momentum = 0)
      : slope_(slope), optimizer_(worker_.parameters(), torch::optim::SGDOptions(1.0).momentum(momentum)) {}

  FlatParams& params() { return worker_.params(); }
  float weight() const { return worker_.weights()[0]; }
  float FinalModel(Synchronizer& sync) {
    const at::Tensor out = params().NewState();
    sync.WriteFinalModel(out, {});
    return Values(params(), out)[0];
  }

  void SetSlope(float slope) { slope_ = slope; }
  void ReplaceWeight(float value) { worker_.parameters()[0].set_data(torch::full({1}, value)); }

  // A step with a loss of the test's choice.
  void Step(Synchronizer& sync, double loss = 1) {
    params().ZeroGrad();
    (worker_.parameters()[0] * slope_).sum().backward();
    sync.Step(optimizer_, torch::full({}, loss, at::kDouble));
  }

 private:
  float slope_;
  HandDrivenWorker worker_{{1}};
  torch::optim::SGD optimizer_;
};

// All but ssgd.
inline std::vector<std::string> ExchangersOfWeights() {
  std::vector<std::string> names = SynchronizerNames();
  names.erase(std::remove(names.begin(), names.end(), "ssgd"), names.end());
  return names;
}

// A network small enough to reason about, with weights that depend on `seed` alone.
class SmallNet : public torch::nn::Module {
 public:
  static constexpr std::int64_t kInputs = 6, kOutputs = 3;

  explicit SmallNet(std::uint64_t seed = 0) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    torch::NoGradGuard no_grad;
    for (at::Tensor& parameter : parameters()) parameter.normal_(0, 0.5, generator);
  }
  at::Tensor Loss(const at::Tensor& inputs, const at::Tensor& targets) {
    return torch::mse_loss(last_(torch::tanh(first_(inputs))), targets);
  }

 private:
  torch::nn::Linear first_ = register_module("first", torch::nn::Linear(kInputs, 5));
  torch::nn::Linear last_ = register_module("last", torch::nn::Linear(5, kOutputs));
};

// Random mini-batches: step by step, `workers` parts of `batch` samples each.
class Batches {
 public:
  Batches(std::int64_t steps, std::int64_t workers, std::int64_t batch) : batch_(batch) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(5);
    inputs_ = torch::randn({steps, workers * batch, SmallNet::kInputs}, generator);
    targets_ = torch::randn({steps, workers * batch, SmallNet::kOutputs}, generator);
  }

  // The mini-batch of one worker, on the device of its net.
  at::Tensor Loss(SmallNet& net, std::int64_t step, std::int64_t worker,
                  const at::Device& device = at::kCPU) const {
    return net.Loss(inputs_[step].narrow(0, worker * batch_, batch_).to(device),
                    targets_[step].narrow(0, worker * batch_, batch_).to(device));
  }
  // All workers' mini-batches as one.
  at::Tensor LossOfAll(SmallNet& net, std::int64_t step) const {
    return net.Loss(inputs_[step], targets_[step]);
  }

 private:
  std::int64_t batch_;
  at::Tensor inputs_, targets_;  // [steps, workers * batch, …]
};

}  // namespace swarmsync::testing
