#include "swarmsync/model/registry.h"

#include <fmt/format.h>

#include "model/builtin.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/names.h"

namespace swarmsync {

ModelRegistry ModelRegistry::WithBuiltIn() {
  ModelRegistry registry;
  registry.Register("lenet5", MakeLeNet5);
  registry.Register("mlp", MakeMlp);
  return registry;
}

void ModelRegistry::Register(const std::string& name, Factory factory) {
  if (!factories_.emplace(name, std::move(factory)).second) {
    throw UsageError(fmt::format("a model named '{}' is registered already; choose another name", name));
  }
}

std::shared_ptr<ImageClassifier> ModelRegistry::Make(const std::string& name, const ModelInput& input) const {
  const auto found = factories_.find(name);
  if (found == factories_.end()) throw UsageError(UnknownName("model", name, names()));
  return found->second(input);
}

std::vector<std::string> ModelRegistry::names() const {
  std::vector<std::string> names;
  for (const auto& [name, factory] : factories_) names.push_back(name);
  return names;
}

}  // namespace swarmsync
