// The whole `swarmsync` tool with a model of one's own, `--model wide`:
//
//   own_model train --model wide --workers 4 --out runs/wide
//   own_model evaluate --weights runs/wide/model.safetensors

#include <swarmsync/cli/command_line.h>
#include <swarmsync/model/registry.h>
#include <torch/torch.h>

// One hidden layer, as wide as the image has pixels.
class Wide : public swarmsync::ImageClassifier {
 public:
  explicit Wide(const swarmsync::ModelInput& input) {
    const auto pixels = input.channels * input.height * input.width;
    hidden_ = register_module("hidden", torch::nn::Linear(pixels, pixels));
    out_ = register_module("out", torch::nn::Linear(pixels, input.classes));
  }
  at::Tensor forward(const at::Tensor& images) override {
    return out_(torch::relu(hidden_(images.flatten(1))));
  }

 private:
  torch::nn::Linear hidden_ = nullptr, out_ = nullptr;
};

int main(int argc, char** argv) {
  auto models = swarmsync::ModelRegistry::WithBuiltIn();
  models.Register("wide", [](const auto& input) { return std::make_shared<Wide>(input); });
  return swarmsync::RunCommandLine(argc, argv, models);
}
