#include "swarmsync/params/flat_params.h"

#include <fmt/format.h>
#include <torch/torch.h>

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

void CheckFits(const at::Tensor& parameter, const std::string& name, const at::Device& device) {
  if (parameter.scalar_type() != at::kFloat) {
    throw UsageError(fmt::format("parameter '{}' is {}; FlatParams takes float parameters only", name,
                                 c10::toString(parameter.scalar_type())));
  }
  if (parameter.device() != device) {
    throw UsageError(
        fmt::format("parameter '{}' is on {} and others are on {}; move the module to one device", name,
                    parameter.device().str(), device.str()));
  }
}

}  // namespace

FlatParams::FlatParams(torch::nn::Module& module) {
  torch::NoGradGuard no_grad;
  const auto named = module.named_parameters(/*recurse=*/true);
  if (named.is_empty()) throw UsageError("the module has no parameters, so there is nothing to train");
  const at::Device device = named[0].value().device();

  std::int64_t flat_size = 0;
  for (const auto& item : named) {
    const at::Tensor& parameter = item.value();
    CheckFits(parameter, item.key(), device);
    const at::Tensor dense = parameter.is_non_overlapping_and_dense() ? parameter : parameter.contiguous();
    slots_.push_back({item.key(), flat_size, parameter.numel(), num_params_, parameter.sizes().vec(),
                      dense.strides().vec()});
    parameters_.push_back(parameter);
    flat_size += RoundUp(parameter.numel());
    num_params_ += parameter.numel();
  }

  const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
  weights_ = at::zeros({flat_size + kAlignment}, options).narrow(0, 0, flat_size);
  const at::Tensor gradient_storage = at::zeros({flat_size + kAlignment}, options);
  gradients_ = gradient_storage.narrow(0, 0, flat_size);
  gradient_message_ = gradient_storage.narrow(0, 0, flat_size + 1);

  for (std::size_t i = 0; i < slots_.size(); ++i) {
    at::Tensor& parameter = parameters_[i];
    const at::Tensor home = View(weights_, slots_[i]);
    home.copy_(parameter);
    parameter.set_data(home);
    gradient_views_.push_back(View(gradients_, slots_[i]));
    if (parameter.grad().defined()) gradient_views_[i].copy_(parameter.grad());
    if (parameter.requires_grad()) parameter.mutable_grad() = gradient_views_[i];
  }
}

at::Tensor FlatParams::NewState() const { return at::zeros_like(weights_); }

at::Tensor FlatParams::View(const at::Tensor& flat, const Slot& slot) {
  return Alias(flat, slot.offset, slot.sizes, slot.strides);
}

void FlatParams::ZeroGrad() {
  torch::NoGradGuard no_grad;
  gradients_.zero_();
}

int FlatParams::Readopt() {
  int strays = 0;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    at::Tensor& parameter = parameters_[i];
    // libtorch gives an empty tensor no address.
    const float* home = slots_[i].size > 0 ? weights_.data_ptr<float>() + slots_[i].offset : nullptr;
    if (parameter.data_ptr() != home) {
      torch::NoGradGuard no_grad;
      CheckFits(parameter, slots_[i].name, weights_.device());
      if (parameter.sizes() != at::IntArrayRef(slots_[i].sizes)) {
        throw UsageError(
            fmt::format("parameter '{}' has changed its shape; make a new FlatParams", slots_[i].name));
      }
      const at::Tensor view = View(weights_, slots_[i]);
      view.copy_(parameter);
      parameter.set_data(view);
      ++strays;
    }
    if (!parameter.requires_grad()) continue;
    const at::Tensor& gradient = parameter.grad();
    if (gradient.defined() && gradient.data_ptr() == gradient_views_[i].data_ptr()) continue;
    torch::NoGradGuard no_grad;
    if (gradient.defined()) {
      gradient_views_[i].copy_(gradient);
    } else {
      gradient_views_[i].zero_();
    }
    parameter.mutable_grad() = gradient_views_[i];
    ++strays;
  }
  return strays;
}

}  // namespace swarmsync
