#include <torch/torch.h>

#include "model/builtin.h"

namespace swarmsync {
namespace {

class Mlp : public ImageClassifier {
 public:
  explicit Mlp(const ModelInput& input)
      : fc1_(register_module("fc1", torch::nn::Linear(input.channels * input.height * input.width, 200))),
        fc2_(register_module("fc2", torch::nn::Linear(200, 200))),
        fc3_(register_module("fc3", torch::nn::Linear(200, input.classes))) {}

  bool repeats_itself() const override { return true; }

  at::Tensor forward(const at::Tensor& images) override {
    const at::Tensor x = at::relu(fc1_(images.flatten(1)));  // [N, 200]
    return fc3_(at::relu(fc2_(x)));                          // [N, classes]
  }

 private:
  torch::nn::Linear fc1_, fc2_, fc3_;
};

}  // namespace

std::shared_ptr<ImageClassifier> MakeMlp(const ModelInput& input) { return std::make_shared<Mlp>(input); }

}  // namespace swarmsync
