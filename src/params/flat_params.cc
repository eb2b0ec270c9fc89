#include "swarmsync/params/flat_params.h"

#include <fmt/format.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/torch.h>

#include <tuple>
#include <utility>

#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

constexpr std::int64_t kAlignment = 16;  // floats: 64 bytes, one cache line

std::int64_t RoundUp(std::int64_t value) { return (value + kAlignment - 1) / kAlignment * kAlignment; }

// A tensor on `flat`'s storage that autograd does not know as a view: a slice would make the optimizer's
// `zero_grad` throw in libtorch 1.13.
at::Tensor Alias(const at::Tensor& flat, std::int64_t offset, at::IntArrayRef sizes,
                 at::IntArrayRef strides) {
  torch::NoGradGuard no_grad;
  return at::empty({0}, flat.options()).set_(flat.storage(), flat.storage_offset() + offset, sizes, strides);
}

void CheckFits(const at::Tensor& tensor, const std::string& name, const at::Device& device) {
  if (tensor.scalar_type() != at::kFloat) {
    throw UsageError(fmt::format("parameter '{}' is {}; FlatParams takes float parameters only", name,
                                 c10::toString(tensor.scalar_type())));
  }
  if (tensor.device() != device) {
    throw UsageError(
        fmt::format("parameter '{}' is on {} and others are on {}; move the module to one device", name,
                    tensor.device().str(), device.str()));
  }
}

// Gives a tensor of the module the next place in a flat tensor.
void AddSlot(const std::string& name, const at::Tensor& tensor, std::vector<FlatParams::Slot>& slots) {
  const at::Tensor dense = tensor.is_non_overlapping_and_dense() ? tensor : tensor.contiguous();
  std::int64_t offset = 0, logical_offset = 0;
  if (!slots.empty()) {
    offset = slots.back().offset + RoundUp(slots.back().size);
    logical_offset = slots.back().logical_offset + slots.back().size;
  }
  slots.push_back({name, offset, tensor.numel(), logical_offset, tensor.sizes().vec(), dense.strides().vec(),
                   tensor.requires_grad()});
}

std::int64_t FlatSize(const std::vector<FlatParams::Slot>& slots) {
  return slots.empty() ? 0 : slots.back().offset + RoundUp(slots.back().size);
}

// A flat tensor of zeros, and it with one number more.
std::pair<at::Tensor, at::Tensor> NewFlat(std::int64_t size, const at::TensorOptions& options) {
  const at::Tensor storage = at::zeros({size + kAlignment}, options);
  return {storage.narrow(0, 0, size), storage.narrow(0, 0, size + 1)};
}

// The module's tensor becomes a view of its slot, with the values that it has.
void MoveIn(at::Tensor& tensor, const at::Tensor& flat, const FlatParams::Slot& slot) {
  const at::Tensor home = FlatParams::View(flat, slot);
  home.copy_(tensor);
  tensor.set_data(home);
}

// Moves a tensor back that has strayed. Returns how many have: 0 or 1.
int MoveBack(at::Tensor& tensor, const at::Tensor& flat, const FlatParams::Slot& slot) {
  // libtorch gives an empty tensor no address.
  const float* home = slot.size > 0 ? flat.data_ptr<float>() + slot.offset : nullptr;
  if (tensor.data_ptr() == home) return 0;
  torch::NoGradGuard no_grad;
  CheckFits(tensor, slot.name, flat.device());
  if (tensor.sizes() != at::IntArrayRef(slot.sizes)) {
    throw UsageError(fmt::format("parameter '{}' has changed its shape; make a new FlatParams", slot.name));
  }
  MoveIn(tensor, flat, slot);
  return 1;
}

}  // namespace

// The hooks behind what accumulates the gradients, as DistributedDataParallel has them.
struct FlatParams::Watch {
  using Hook = torch::autograd::utils::LambdaPostHook;

  explicit Watch(std::function<void(std::size_t)> callback) : on_gradient(std::move(callback)) {}
  ~Watch() {
    for (const auto& [accumulator, key] : hooks) accumulator->del_post_hook(key);
  }

  void Add(const at::Tensor& parameter, std::size_t slot) {
    auto accumulator = torch::autograd::impl::grad_accumulator(parameter);
    const auto key =
        accumulator->add_post_hook(std::make_unique<Hook>([this, slot](const auto& outputs, const auto&) {
          on_gradient(slot);
          return outputs;
        }));
    hooks.emplace_back(std::move(accumulator), key);
  }

  std::function<void(std::size_t)> on_gradient;
  std::vector<std::pair<std::shared_ptr<torch::autograd::Node>, std::uintptr_t>> hooks;
};

FlatParams::FlatParams() = default;
FlatParams::~FlatParams() = default;

FlatParams::FlatParams(torch::nn::Module& module) {
  torch::NoGradGuard no_grad;
  const auto named = module.named_parameters(/*recurse=*/true);
  if (named.is_empty()) throw UsageError("the module has no parameters, so there is nothing to train");
  const at::Device device = named[0].value().device();

  for (const auto& item : named) {
    CheckFits(item.value(), item.key(), device);
    AddSlot(item.key(), item.value(), slots_);
    parameters_.push_back(item.value());
    num_params_ += item.value().numel();
  }
  for (const auto& item : module.named_buffers(/*recurse=*/true)) {
    if (item.value().scalar_type() != at::kFloat) continue;
    CheckFits(item.value(), item.key(), device);
    AddSlot(item.key(), item.value(), buffer_slots_);
    module_buffers_.push_back(item.value());
  }

  const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
  std::tie(weights_, weight_message_) = NewFlat(FlatSize(slots_), options);
  std::tie(gradients_, gradient_message_) = NewFlat(FlatSize(slots_), options);
  buffers_ = at::zeros({FlatSize(buffer_slots_)}, options);

  for (std::size_t i = 0; i < slots_.size(); ++i) {
    at::Tensor& parameter = parameters_[i];
    MoveIn(parameter, weights_, slots_[i]);
    gradient_views_.push_back(View(gradients_, slots_[i]));
    if (parameter.grad().defined()) gradient_views_[i].copy_(parameter.grad());
    if (parameter.requires_grad()) parameter.mutable_grad() = gradient_views_[i];
  }
  for (std::size_t i = 0; i < buffer_slots_.size(); ++i)
    MoveIn(module_buffers_[i], buffers_, buffer_slots_[i]);
}

std::unique_ptr<FlatParams> FlatParams::Shadow() const {
  torch::NoGradGuard no_grad;
  std::unique_ptr<FlatParams> shadow(new FlatParams());
  shadow->slots_ = slots_;
  shadow->num_params_ = num_params_;
  std::tie(shadow->weights_, shadow->weight_message_) = NewFlat(weights_.numel(), weights_.options());
  shadow->weights_.copy_(weights_);
  shadow->buffers_ = buffers_.clone();
  return shadow;
}

at::Tensor FlatParams::NewState() const { return at::zeros_like(weights_); }

at::Tensor FlatParams::View(const at::Tensor& flat, const Slot& slot) {
  return Alias(flat, slot.offset, slot.sizes, slot.strides);
}

void FlatParams::ZeroGrad() {
  torch::NoGradGuard no_grad;
  gradients_.zero_();
}

void FlatParams::ClipGradients(double max_norm) {
  torch::NoGradGuard no_grad;
  const at::Tensor norm = gradients_.norm();
  const at::Tensor factor = at::where(norm.isfinite(), (max_norm / norm).clamp_max(1), at::ones_like(norm));
  gradients_.mul_(factor);  // on a GPU, nobody waits for the norm
}

bool FlatParams::Trains(std::size_t slot) const { return parameters_[slot].requires_grad(); }

bool FlatParams::HasGradientInPlace(std::size_t slot) const {
  const at::Tensor& gradient = parameters_[slot].grad();
  return gradient.defined() && gradient.data_ptr() == gradient_views_[slot].data_ptr();
}

void FlatParams::WatchGradients(std::function<void(std::size_t slot)> on_gradient) {
  watch_.reset();
  if (!on_gradient) return;
  watch_ = std::make_unique<Watch>(std::move(on_gradient));
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (Trains(i)) watch_->Add(parameters_[i], i);
  }
}

int FlatParams::Readopt() {
  int strays = 0;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    strays += MoveBack(parameters_[i], weights_, slots_[i]) + ReadoptGradient(i);
  }
  for (std::size_t i = 0; i < buffer_slots_.size(); ++i) {
    strays += MoveBack(module_buffers_[i], buffers_, buffer_slots_[i]);
  }
  return strays;
}

int FlatParams::ReadoptGradient(std::size_t slot) {
  if (!Trains(slot) || HasGradientInPlace(slot)) return 0;
  at::Tensor& parameter = parameters_[slot];
  const at::Tensor& gradient = parameter.grad();
  const at::Tensor& view = gradient_views_[slot];
  torch::NoGradGuard no_grad;
  if (gradient.defined()) {
    view.copy_(gradient);
  } else {
    view.zero_();
  }
  parameter.mutable_grad() = view;
  return 1;
}

}  // namespace swarmsync
