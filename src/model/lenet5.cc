#include <fmt/format.h>
#include <torch/torch.h>

#include "model/builtin.h"
#include "model/conv5x5.h"
#include "model/max_pool.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

class LeNet5 : public ImageClassifier {
 public:
  explicit LeNet5(const ModelInput& input) {
    const std::int64_t height = PooledExtent(input.height), width = PooledExtent(input.width);
    if (height < 1 || width < 1) {
      throw UsageError(fmt::format("lenet5 needs images of at least 12x12 pixels, not {}x{}; use mlp",
                                   input.height, input.width));
    }
    conv1_ = register_module("conv1",
                             torch::nn::Conv2d(torch::nn::Conv2dOptions(input.channels, 6, 5).padding(2)));
    conv2_ = register_module("conv2", torch::nn::Conv2d(torch::nn::Conv2dOptions(6, 16, 5)));
    fc1_ = register_module("fc1", torch::nn::Linear(16 * height * width, 120));
    fc2_ = register_module("fc2", torch::nn::Linear(120, 84));
    fc3_ = register_module("fc3", torch::nn::Linear(84, input.classes));
  }

  bool repeats_itself() const override { return true; }

  at::Tensor forward(const at::Tensor& images) override {
    // The maximum first, then ReLU: the same numbers and gradients as the other way round, on a quarter of
    // the pixels.
    at::Tensor x =
        at::relu(MaxPool2x2(Conv5x5(images, conv1_->weight, conv1_->bias, 2)));  // [N, 6, H/2, W/2]
    x = at::relu(MaxPool2x2(Conv5x5(x, conv2_->weight, conv2_->bias, 0)));  // [N, 16, (H/2-4)/2, (W/2-4)/2]
    x = at::relu(fc1_(x.flatten(1)));                                       // [N, 120]
    x = at::relu(fc2_(x));                                                  // [N, 84]
    return fc3_(x);                                                         // [N, classes]
  }

 private:
  static std::int64_t PooledExtent(std::int64_t extent) { return (extent / 2 - 4) / 2; }

  torch::nn::Conv2d conv1_{nullptr}, conv2_{nullptr};
  torch::nn::Linear fc1_{nullptr}, fc2_{nullptr}, fc3_{nullptr};
};

}  // namespace

std::shared_ptr<ImageClassifier> MakeLeNet5(const ModelInput& input) {
  return std::make_shared<LeNet5>(input);
}

}  // namespace swarmsync
