// The TOML file of --config.

#include "cli/arguments.h"
#include "fuzz/input.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmsync;
  const std::string path = WriteInput("config.toml", Text(data, size));
  ReadOrRefuse([&] { ExpandArguments({"train", "--config", path, "--steps=1"}); });
  return 0;
}
