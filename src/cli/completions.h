#pragma once

#include <string>

#include "swarmsync/base/names.h"

namespace CLI {
class App;
}

namespace swarmsync {

enum class Shell { kBash, kZsh, kFish };
template <>
struct EnumNames<Shell> {
  static constexpr std::string_view kWhat = "shell";
  static constexpr std::array<std::pair<Shell, std::string_view>, 3> kNames{
      {{Shell::kBash, "bash"}, {Shell::kZsh, "zsh"}, {Shell::kFish, "fish"}}};
};

// A script that completes the tool's commands, flags, and the values that have names; files and directories
// for the flags that take such. Made from the tree of commands. Pure.
std::string CompletionScript(const CLI::App& tool, Shell shell);

}  // namespace swarmsync
