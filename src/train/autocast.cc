#include "train/autocast.h"

#include <ATen/autocast_mode.h>
#include <fmt/format.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <string>

#include "base/first_line.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
void Switch(bool on, at::DeviceType device) { at::autocast::set_autocast_enabled(device, on); }
void UseBf16(at::DeviceType device) { at::autocast::set_autocast_dtype(device, at::kBFloat16); }
#else
void Switch(bool on, at::DeviceType device) {
  device == at::kCPU ? at::autocast::set_cpu_enabled(on) : at::autocast::set_enabled(on);
}
void UseBf16(at::DeviceType device) {
  device == at::kCPU ? at::autocast::set_autocast_cpu_dtype(at::kBFloat16)
                     : at::autocast::set_autocast_gpu_dtype(at::kBFloat16);
}
#endif

}  // namespace

Autocast::Autocast(Amp amp, at::DeviceType device) : amp_(amp), device_(device) {
  if (amp_ == Amp::kNone) return;
  UseBf16(device);
  Switch(true, device);
}

Autocast::~Autocast() {
  if (amp_ == Amp::kNone) return;
  Switch(false, device_);
  // The weights in low precision, which the next step changes.
  at::autocast::clear_cache();
}

void CheckAutocast(Amp amp, ImageClassifier& model, ImageShape shape) {
  try {
    const Autocast autocast(amp, at::kCPU);
    const at::Tensor logits = model.forward(at::ones({2, shape.channels, shape.height, shape.width}));
    logits.to(at::kFloat).sum().backward();
  } catch (const std::exception& error) {
    throw UsageError(
        fmt::format("--amp is {}, which the model cannot be trained in on this processor ({}); give none",
                    ToString(amp), FirstLine(error.what())));
  }
}

}  // namespace swarmsync
