#include "swarmsync/model/registry.h"

#include <fmt/format.h>

#include "model/builtin.h"
#include "model/torchscript.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/names.h"

namespace swarmsync {

ModelRegistry ModelRegistry::WithBuiltIn() {
  ModelRegistry registry;
  registry.Register("lenet5", MakeLeNet5);
  registry.Register("mlp", MakeMlp);
  registry.Register("resnet8", MakeResNet8);
  registry.Register("resnet18", MakeResNet18);
  registry.Register("resnet20", MakeResNet20);
  registry.Register("vgg11", MakeVgg11);
  return registry;
}

void ModelRegistry::Register(const std::string& name, Factory factory) {
  if (!factories_.emplace(name, std::move(factory)).second) {
    throw UsageError(fmt::format("a model named '{}' is registered already; choose another name", name));
  }
}

std::shared_ptr<ImageClassifier> ModelRegistry::Make(const std::string& name, const ModelInput& input) const {
  if (name.rfind(kTorchScriptPrefix, 0) == 0) {
    const std::string path = name.substr(kTorchScriptPrefix.size());
    if (path.empty()) throw UsageError("the model 'torchscript:' names no file: write torchscript:FILE");
    return LoadTorchScript(path, input);
  }
  const auto found = factories_.find(name);
  if (found == factories_.end()) {
    std::vector<std::string> known = names();
    known.push_back(std::string(kTorchScriptPrefix) + "FILE");
    throw UsageError(UnknownName("model", name, known));
  }
  return found->second(input);
}

std::vector<std::string> ModelRegistry::names() const {
  std::vector<std::string> names;
  for (const auto& [name, factory] : factories_) names.push_back(name);
  return names;
}

}  // namespace swarmsync
