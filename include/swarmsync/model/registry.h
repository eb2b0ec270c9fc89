#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace swarmsync {

// What an image classifier is made for.
struct ModelInput {
  std::int64_t channels = 1;  // of an image
  std::int64_t height = 28;   // in pixels
  std::int64_t width = 28;    // in pixels
  std::int64_t classes = 10;  // how many logits it gives
};

// A network from images [N, C, H, W] to logits [N, classes].
class ImageClassifier : public torch::nn::Module {
 public:
  // images: normalized, where the parameters are. Returns the logits, there too.
  virtual at::Tensor forward(const at::Tensor& images) = 0;

  // Whether every forward of a batch of one size makes the same kernels with the same arguments, so that it
  // can be recorded as a CUDA graph and played: it draws nothing (no dropout), decides and counts nothing on
  // the host, and never waits for the GPU.
  virtual bool repeats_itself() const { return false; }

  // Writes the model with its code, so that other programs can run it, in evaluation mode; whole or not at
  // all. Only a TorchScript module can; others write nothing. Throws RunError.
  virtual void SaveScript(const std::string& /*path*/) const {}
};

// Models by name. A program adds its own and hands the registry to whoever builds models. Register() before
// the registry is shared; Make() may then be called from any thread.
class ModelRegistry {
 public:
  // Makes a model with initial weights from libtorch's default generator. Throws UsageError for an input that
  // it cannot take.
  using Factory = std::function<std::shared_ptr<ImageClassifier>(const ModelInput&)>;

  // The registry with the models of this library: lenet5, mlp, resnet8, resnet18, resnet20, vgg11.
  static ModelRegistry WithBuiltIn();

  // Throws UsageError when the name is taken.
  void Register(const std::string& name, Factory factory);

  // The model of that name, or the TorchScript module of the file in `torchscript:FILE`. Throws UsageError
  // for an unknown name, with the nearest known one, or an input that the model cannot take, DataError for a
  // file that cannot be used. Initial weights are drawn from libtorch's default generator; a file's are as
  // they are.
  std::shared_ptr<ImageClassifier> Make(const std::string& name, const ModelInput& input) const;

  // Those that have been registered, in the order of the alphabet.
  std::vector<std::string> names() const;

 private:
  std::map<std::string, Factory> factories_;
};

}  // namespace swarmsync
