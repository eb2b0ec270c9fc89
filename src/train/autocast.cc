#include "train/autocast.h"

#include <ATen/autocast_mode.h>
#include <fmt/format.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <string>

#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
void Switch(bool on) { at::autocast::set_autocast_enabled(at::kCPU, on); }
void UseBf16() { at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16); }
#else
void Switch(bool on) { at::autocast::set_cpu_enabled(on); }
void UseBf16() { at::autocast::set_autocast_cpu_dtype(at::kBFloat16); }
#endif

}  // namespace

Autocast::Autocast(Amp amp) : amp_(amp) {
  if (amp_ == Amp::kNone) return;
  UseBf16();
  Switch(true);
}

Autocast::~Autocast() {
  if (amp_ == Amp::kNone) return;
  Switch(false);
  // The weights in low precision, which the next step changes.
  at::autocast::clear_cache();
}

void CheckAutocast(Amp amp, ImageClassifier& model, ImageShape shape) {
  try {
    const Autocast autocast(amp);
    const at::Tensor logits = model.forward(at::ones({2, shape.channels, shape.height, shape.width}));
    logits.to(at::kFloat).sum().backward();
  } catch (const std::exception& error) {
    const std::string what = error.what();
    throw UsageError(
        fmt::format("--amp is {}, which the model cannot be trained in on this processor ({}); give none",
                    ToString(amp), what.substr(0, what.find('\n'))));
  }
}

}  // namespace swarmsync
