// Residual networks for small images.
//
// resnet8, resnet20: the CIFAR networks of He, Zhang, Ren and Sun 2016 (section 4.2) with 6n+2 layers, n = 1
// and 3: stages of 16, 32 and 64 channels; a shortcut that changes its size takes every second pixel and adds
// channels of zeros (their option A, without parameters). resnet18: the ImageNet network of the same paper
// with a first convolution of 3x3 and no pooling, as is usual on CIFAR; a shortcut that changes its size is a
// convolution of 1x1. Convolutions begin as in He et al. 2015, for the fan-out.

#include <fmt/format.h>
#include <torch/torch.h>

#include "model/builtin.h"
#include "model/layers.h"

namespace swarmsync {
namespace {

enum class Shortcut { kPadded, kProjected };

struct BlockShape {
  std::int64_t from, to, stride;  // channels, channels, pixels
  bool changes() const { return stride != 1 || from != to; }
};

// Two convolutions beside a shortcut.
class BasicBlock : public torch::nn::Module {
 public:
  BasicBlock(const BlockShape& shape, Shortcut kind) : shape_(shape), kind_(kind) {
    conv1_ = register_module("conv1", Conv3x3(shape.from, shape.to, shape.stride));
    bn1_ = register_module("bn1", torch::nn::BatchNorm2d(shape.to));
    conv2_ = register_module("conv2", Conv3x3(shape.to, shape.to, 1));
    bn2_ = register_module("bn2", torch::nn::BatchNorm2d(shape.to));
    if (shape.changes() && kind == Shortcut::kProjected) {
      downsample_ = register_module(
          "downsample",
          torch::nn::Sequential(
              torch::nn::Conv2d(
                  torch::nn::Conv2dOptions(shape.from, shape.to, 1).stride(shape.stride).bias(false)),
              torch::nn::BatchNorm2d(shape.to)));
    }
  }

  at::Tensor forward(const at::Tensor& x) {  // [N, from, H, W] to [N, to, H/stride, W/stride]
    at::Tensor y = bn1_(conv1_(x)).relu_();
    y = bn2_(conv2_(y));
    return y.add_(AlongTheShortcut(x)).relu_();
  }

 private:
  at::Tensor AlongTheShortcut(const at::Tensor& x) {
    if (!shape_.changes()) return x;
    if (kind_ == Shortcut::kProjected) return downsample_->forward(x);
    const std::int64_t added = shape_.to - shape_.from;
    const at::Tensor seen = x.slice(2, 0, x.size(2), shape_.stride).slice(3, 0, x.size(3), shape_.stride);
    return at::constant_pad_nd(seen, {0, 0, 0, 0, added / 2, added - added / 2});
  }

  BlockShape shape_;
  Shortcut kind_;
  torch::nn::Conv2d conv1_{nullptr}, conv2_{nullptr};
  torch::nn::BatchNorm2d bn1_{nullptr}, bn2_{nullptr};
  torch::nn::Sequential downsample_{nullptr};
};

class ResNet : public ImageClassifier {
 public:
  // widths: channels of the stages, of which all but the first halve the image.
  ResNet(const ModelInput& input, const std::vector<std::int64_t>& widths, int blocks, Shortcut kind) {
    conv1_ = register_module("conv1", Conv3x3(input.channels, widths.front(), 1));
    bn1_ = register_module("bn1", torch::nn::BatchNorm2d(widths.front()));
    BlockShape shape{widths.front(), widths.front(), 1};
    for (std::size_t stage = 0; stage < widths.size(); ++stage) {
      torch::nn::Sequential layer;
      shape.to = widths[stage];
      shape.stride = stage == 0 ? 1 : 2;
      for (int block = 0; block < blocks; ++block) {
        layer->push_back(BasicBlock(shape, kind));
        shape = {shape.to, shape.to, 1};
      }
      layers_.push_back(register_module(fmt::format("layer{}", stage + 1), layer));
    }
    fc_ = register_module("fc", torch::nn::Linear(widths.back(), input.classes));
    InitializeConvolutions(*this);
  }

  bool repeats_itself() const override { return true; }

  at::Tensor forward(const at::Tensor& images) override {
    at::Tensor x = bn1_(conv1_(images)).relu_();
    for (torch::nn::Sequential& layer : layers_) x = layer->forward(x);
    return fc_(x.mean({2, 3}));  // [N, classes]
  }

 private:
  torch::nn::Conv2d conv1_{nullptr};
  torch::nn::BatchNorm2d bn1_{nullptr};
  std::vector<torch::nn::Sequential> layers_;
  torch::nn::Linear fc_{nullptr};
};

std::shared_ptr<ImageClassifier> MakeCifarResNet(const ModelInput& input, int blocks) {
  return std::make_shared<ResNet>(input, std::vector<std::int64_t>{16, 32, 64}, blocks, Shortcut::kPadded);
}

}  // namespace

std::shared_ptr<ImageClassifier> MakeResNet8(const ModelInput& input) { return MakeCifarResNet(input, 1); }
std::shared_ptr<ImageClassifier> MakeResNet20(const ModelInput& input) { return MakeCifarResNet(input, 3); }

std::shared_ptr<ImageClassifier> MakeResNet18(const ModelInput& input) {
  return std::make_shared<ResNet>(input, std::vector<std::int64_t>{64, 128, 256, 512}, 2,
                                  Shortcut::kProjected);
}

}  // namespace swarmsync
