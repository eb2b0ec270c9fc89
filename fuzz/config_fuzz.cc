// The TOML file of --config.

#include <CLI/CLI.hpp>

#include "cli/arguments.h"
#include "cli/train_flags.h"
#include "fuzz/input.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmsync;
  const std::string path = WriteInput("config.toml", Text(data, size));
  CLI::App tool;
  TrainConfig config;
  CLI::App* const train = tool.add_subcommand("train");
  AddTrainFlags(*train, config);
  AddConfigFlag(*train);
  ReadOrRefuse([&] { ExpandArguments({"train", "--config", path, "--steps=1"}, tool); });
  return 0;
}
