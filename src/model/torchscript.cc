#include "model/torchscript.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <map>
#include <sstream>
#include <vector>

#include "base/first_line.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

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
    const auto require_new = [&](const at::Tensor& tensor, const std::string& name) {
      const auto [other, is_new] = known.emplace(tensor.unsafeGetTensorImpl(), name);
      if (is_new) return;
      throw DataError(fmt::format("{}: '{}' and '{}' are one tensor; give each layer its own", path,
                                  other->second, name));
    };
    for (const auto& parameter : script_.named_parameters()) {
      require_new(parameter.value, parameter.name);
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
      require_new(buffer.value, buffer.name);
      const auto& [module, name] = Place(buffer.name);
      module->register_buffer(name, buffer.value);
    }
  }

  at::Tensor forward(const at::Tensor& images) override { return script_.forward({images}).toTensor(); }

  void train(bool on) override {
    ImageClassifier::train(on);
    script_.train(on);
  }

  void SaveScript(const std::string& path) const override {
    torch::jit::Module script = script_;  // the same module
    std::stringstream bytes;
    script.eval();
    script.save(bytes);
    script.train(is_training());
    if (parameters().front().is_cpu()) return WriteFileAtomically(path, bytes.str());
    // For programs that have no GPU. (A module's copy is wrong where its tensors share memory.)
    std::ostringstream on_cpu;
    torch::jit::load(bytes, at::kCPU).save(on_cpu);
    WriteFileAtomically(path, on_cpu.str());
  }

  // The name of a float buffer that a pass has replaced by another tensor, which is then not the one that is
  // exchanged and saved; "" when there is none.
  std::string ReplacedBuffer() const {
    std::map<std::string, at::Tensor> registered;
    for (const auto& item : named_buffers()) registered[item.key()] = item.value();
    for (const auto& buffer : script_.named_buffers()) {
      const at::Tensor& mine = registered.at(buffer.name);
      if (mine.is_floating_point() && !mine.is_same(buffer.value)) return buffer.name;
    }
    return "";
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

// Passes two images through the module in training mode, as training will, and leaves its buffers as they
// were.
void CheckPass(TorchScriptModel& model, const std::string& path, const ModelInput& input) {
  torch::NoGradGuard no_grad;
  std::vector<at::Tensor> before;
  for (const at::Tensor& buffer : model.buffers()) before.push_back(buffer.clone());
  const at::Tensor images = at::zeros({2, input.channels, input.height, input.width});
  const std::string shape = fmt::format("{}x{}x{}", input.channels, input.height, input.width);
  at::Tensor logits;
  model.train(true);
  try {
    logits = model.forward(images);
  } catch (const std::exception& error) {
    throw DataError(fmt::format("{}: the TorchScript module does not take images of {}: {}", path, shape,
                                FirstLine(error.what())));
  }
  const std::vector<std::int64_t> expected{2, input.classes};
  if (logits.sizes() != at::IntArrayRef(expected)) {
    throw DataError(
        fmt::format("{}: the TorchScript module makes [{}] of two images of {}, and {} classes need "
                    "[{}]; export it with as many outputs as there are classes",
                    path, fmt::join(logits.sizes(), ", "), shape, input.classes, fmt::join(expected, ", ")));
  }
  if (const std::string name = model.ReplacedBuffer(); !name.empty()) {
    throw DataError(
        fmt::format("{}: the TorchScript module assigns to its buffer '{}'; let it write into it, with "
                    "copy_, so that it can be exchanged",
                    path, name));
  }
  for (std::size_t i = 0; i < before.size(); ++i) model.buffers()[i].copy_(before[i]);
}

}  // namespace

std::shared_ptr<ImageClassifier> LoadTorchScript(const std::string& path, const ModelInput& input) {
  torch::jit::Module script;
  try {
    script = torch::jit::load(path, at::kCPU);
  } catch (const std::exception& error) {
    throw DataError(fmt::format("{}: no TorchScript file that can be read ({}); write it with torch.jit.save",
                                path, FirstLine(error.what())));
  }
  const auto model = std::make_shared<TorchScriptModel>(std::move(script), path);
  CheckPass(*model, path, input);
  return model;
}

}  // namespace swarmsync
