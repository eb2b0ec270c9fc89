// The TOML file of --config.

#include <CLI/CLI.hpp>

#include "cli/arguments.h"
#include "cli/train_flags.h"
#include "fuzz/input.h"

namespace {

// The tool with its command `train`. Made once, as that takes longer than most files.
const CLI::App& Tool() {
  static swarmsync::TrainConfig config;
  static CLI::App tool;
  if (tool.get_subcommands(nullptr).empty()) {
    CLI::App* const train = tool.add_subcommand("train");
    swarmsync::AddTrainFlags(*train, config);
    swarmsync::AddConfigFlag(*train);
  }
  return tool;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmsync;
  const std::string path = WriteInput("config.toml", Text(data, size));
  ReadOrRefuse([&] { ExpandArguments({"train", "--config", path, "--steps=1"}, Tool()); });
  return 0;
}
