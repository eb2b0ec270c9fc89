#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

// What the tree of commands that CLI11 keeps says about a command: for messages, configuration files, shell
// completions and manual pages. All is local.
namespace swarmsync {

// "swarmsync data get"
std::string FullName(const CLI::App& command);

// "--period" and its like that may follow the command: its own and those of the commands above it.
std::vector<std::string> FlagsOf(const CLI::App& command);

// Those of them that a configuration file may set.
std::vector<std::string> FlagsInFiles(const CLI::App& command);

// The option of one of its flags; null when there is none.
const CLI::Option* OptionOf(const CLI::App& command, const std::string& flag);

// The commands under it that are for people, in the order of --help.
std::vector<const CLI::App*> ShownCommands(const CLI::App& command);

// Its own options that have an explanation, in the order of --help.
std::vector<const CLI::Option*> ShownOptions(const CLI::App& command);

// Whether it is followed by a value.
bool TakesValue(const CLI::Option& option);

// Keeps the names of an option's values, where it has such; one that ends in ':' is to be continued.
void SetValues(CLI::Option& option, const std::vector<std::string>& values);
std::vector<std::string> ValuesOf(const CLI::Option& option);

}  // namespace swarmsync
