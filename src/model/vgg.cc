// vgg11: configuration A of Simonyan and Zisserman 2015 with BatchNorm (Ioffe and Szegedy 2015) behind every
// convolution and, as is usual on CIFAR, one full connection at the end instead of three.

#include <fmt/format.h>
#include <torch/torch.h>

#include "model/builtin.h"
#include "model/layers.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

constexpr std::int64_t kPool = 0;  // in place of a width
constexpr std::int64_t kLayers[] = {64, kPool, 128, kPool, 256, 256, kPool, 512, 512, kPool, 512, 512, kPool};
constexpr std::int64_t kHalvings = 5;

class Vgg11 : public ImageClassifier {
 public:
  explicit Vgg11(const ModelInput& input) {
    const std::int64_t height = input.height >> kHalvings, width = input.width >> kHalvings;
    if (height < 1 || width < 1) {
      throw UsageError(fmt::format("vgg11 needs images of at least 32x32 pixels, not {}x{}; use a resnet",
                                   input.height, input.width));
    }
    torch::nn::Sequential features;
    std::int64_t from = input.channels;
    for (const std::int64_t to : kLayers) {
      if (to == kPool) {
        features->push_back(torch::nn::MaxPool2d(torch::nn::MaxPool2dOptions(2)));
        continue;
      }
      features->push_back(torch::nn::Conv2d(torch::nn::Conv2dOptions(from, to, 3).padding(1)));
      features->push_back(torch::nn::BatchNorm2d(to));
      features->push_back(torch::nn::ReLU(torch::nn::ReLUOptions(/*inplace=*/true)));
      from = to;
    }
    features_ = register_module("features", features);
    classifier_ = register_module("classifier", torch::nn::Linear(from * height * width, input.classes));
    InitializeConvolutions(*this);
  }

  bool repeats_itself() const override { return true; }

  at::Tensor forward(const at::Tensor& images) override {
    return classifier_(features_->forward(images).flatten(1));  // [N, classes]
  }

 private:
  torch::nn::Sequential features_{nullptr};
  torch::nn::Linear classifier_{nullptr};
};

}  // namespace

std::shared_ptr<ImageClassifier> MakeVgg11(const ModelInput& input) { return std::make_shared<Vgg11>(input); }

}  // namespace swarmsync
