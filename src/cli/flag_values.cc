#include "cli/flag_values.h"

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "cli/flags_of.h"
#include "model/torchscript.h"
#include "swarmsync/data/dataset.h"
#include "swarmsync/sync/options.h"

namespace swarmsync {

void NameValues(CLI::App& command, const ModelRegistry& models) {
  const auto name = [&](const char* flag, const std::vector<std::string>& values) {
    if (CLI::Option* option = command.get_option_no_throw(flag)) SetValues(*option, values);
  };
  std::vector<std::string> datasets = DatasetNames(), model_names = models.names();
  for (std::string& dataset : datasets) {  // "idx:DIR"
    if (const std::size_t colon = dataset.find(':'); colon != std::string::npos) dataset.resize(colon + 1);
  }
  model_names.emplace_back(kTorchScriptPrefix);
  name("--dataset", datasets);
  name("--model", model_names);
  name("--sync", SynchronizerNames());
  name("--baseline", SynchronizerNames());
  name("--device", {"auto", "cpu", "cuda", "cuda:"});
  name("--schedule", {"constant", "cosine", "step:"});
  name("--shard", {"iid", "label-skew:"});
}

}  // namespace swarmsync
