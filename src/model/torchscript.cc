#include "model/torchscript.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <map>

#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

// Names of tensors have dots, which stand for modules in modules.
class Branch : public torch::nn::Module {
 public:
  std::shared_ptr<Branch> Child(const std::string& name) {
    std::shared_ptr<Branch>& child = children_[name];
    if (!child) child = register_module(name, std::make_shared<Branch>());
    return child;
  }

 private:
  std::map<std::string, std::shared_ptr<Branch>> children_;
};

class TorchScriptModel : public ImageClassifier {
 public:
  TorchScriptModel(torch::jit::Module script, const std::string& path) : script_(std::move(script)) {
    std::map<const void*, std::string> known;
    for (const auto& parameter : script_.named_parameters()) {
      const auto [other, is_new] = known.emplace(parameter.value.unsafeGetTensorImpl(), parameter.name);
      if (!is_new) {
        throw DataError(fmt::format("{}: '{}' and '{}' are one parameter; give each layer its own", path,
                                    other->second, parameter.name));
      }
      const auto& [module, name] = Place(parameter.name);
      module->register_parameter(name, parameter.value, parameter.value.requires_grad());
    }
    if (known.empty()) {
      throw DataError(
          fmt::format("{}: the TorchScript module has no parameters, so there is nothing to train "
                      "(a frozen module has none; save it without torch.jit.freeze)",
                      path));
    }
    for (const auto& buffer : script_.named_buffers()) {
      const auto& [module, name] = Place(buffer.name);
      module->register_buffer(name, buffer.value);
    }
  }

  at::Tensor forward(const at::Tensor& images) override { return script_.forward({images}).toTensor(); }

  void train(bool on) override {
    ImageClassifier::train(on);
    script_.train(on);
  }

  bool SaveScript(const std::string& path) const override {
    script_.save(path);
    return true;
  }

 private:
  struct Position {
    torch::nn::Module* module;
    std::string name;
  };

  // The module, made if need be, that shall hold a tensor of that full name, and its name there.
  Position Place(const std::string& full_name) {
    const std::size_t first = full_name.find('.');
    if (first == std::string::npos) return {this, full_name};
    std::shared_ptr<Branch>& top = branches_[full_name.substr(0, first)];
    if (!top) top = register_module(full_name.substr(0, first), std::make_shared<Branch>());
    Branch* branch = top.get();
    std::size_t begin = first + 1;
    for (std::size_t dot; (dot = full_name.find('.', begin)) != std::string::npos; begin = dot + 1) {
      branch = branch->Child(full_name.substr(begin, dot - begin)).get();
    }
    return {branch, full_name.substr(begin)};
  }

  torch::jit::Module script_;
  std::map<std::string, std::shared_ptr<Branch>> branches_;
};

// What libtorch says, without the trace of its own and the script's functions.
std::string FirstLine(const std::string& message) { return message.substr(0, message.find('\n')); }

void CheckOutputs(TorchScriptModel& model, const std::string& path, const ModelInput& input) {
  torch::NoGradGuard no_grad;
  const at::Tensor images = at::zeros({2, input.channels, input.height, input.width});
  const std::string shape = fmt::format("{}x{}x{}", input.channels, input.height, input.width);
  at::Tensor logits;
  model.eval();
  try {
    logits = model.forward(images);
  } catch (const std::exception& error) {
    throw DataError(fmt::format("{}: the TorchScript module does not take images of {}: {}", path, shape,
                                FirstLine(error.what())));
  }
  model.train(true);
  const std::vector<std::int64_t> expected{2, input.classes};
  if (logits.sizes() != at::IntArrayRef(expected)) {
    throw DataError(
        fmt::format("{}: the TorchScript module makes [{}] of two images of {}, and {} classes need "
                    "[{}]; export it with as many outputs as there are classes",
                    path, fmt::join(logits.sizes(), ", "), shape, input.classes, fmt::join(expected, ", ")));
  }
}

}  // namespace

std::shared_ptr<ImageClassifier> LoadTorchScript(const std::string& path, const ModelInput& input) {
  torch::jit::Module script;
  try {
    script = torch::jit::load(path);
  } catch (const std::exception& error) {
    throw DataError(fmt::format("{}: no TorchScript file that can be read ({}); write it with torch.jit.save",
                                path, FirstLine(error.what())));
  }
  const auto model = std::make_shared<TorchScriptModel>(std::move(script), path);
  CheckOutputs(*model, path, input);
  return model;
}

}  // namespace swarmsync
