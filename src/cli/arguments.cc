#include "cli/arguments.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/first_line.h"
#include "swarmsync/base/names.h"

namespace swarmsync {
namespace {

constexpr const char* kConfigFlag = "--config";

bool IsFlag(const std::string& argument) { return argument.rfind("--", 0) == 0 && argument.size() > 2; }

void UseDashes(std::string& argument) {
  if (!IsFlag(argument)) return;
  const auto end = std::find(argument.begin(), argument.end(), '=');
  std::replace(argument.begin(), end, '_', '-');
}

// The file's settings as flags.
std::vector<std::string> ReadConfig(const std::string& path) {
  std::vector<std::string> flags;
  std::ifstream file(path);
  if (!file || std::filesystem::is_directory(path)) {
    throw UsageError(
        fmt::format("{} {}: no such file, or it cannot be read; name a TOML file", kConfigFlag, path));
  }
  try {
    for (const auto& [key, value] : toml::parse(file, path)) {
      std::string flag = "--" + std::string(key.str());
      UseDashes(flag);
      if (const auto on = value.value_exact<bool>()) {
        if (*on) flags.push_back(flag);
        continue;
      }
      if (value.is_table() || value.is_array()) {
        throw UsageError(fmt::format("{} {}: '{}' is not a single value", kConfigFlag, path, key.str()));
      }
      std::ostringstream text;
      if (const auto string = value.value_exact<std::string>()) {
        text << *string;
      } else {
        text << toml::node_view(value);
      }
      flags.push_back(flag + "=" + text.str());
    }
  } catch (const toml::parse_error& error) {
    throw UsageError(
        fmt::format("{} {}: line {}: {}", kConfigFlag, path, error.source().begin.line, error.description()));
  }
  return flags;
}

// The command that was called, or the tool when none was.
const CLI::App& Called(const CLI::App& tool, const std::vector<std::string>& arguments) {
  const CLI::App* called = &tool;
  for (const std::string& argument : arguments) {
    if (IsFlag(argument)) continue;
    const auto subcommands = called->get_subcommands([](const CLI::App*) { return true; });
    const auto found = std::find_if(subcommands.begin(), subcommands.end(),
                                    [&](const CLI::App* command) { return command->get_name() == argument; });
    if (found == subcommands.end()) break;
    called = *found;
  }
  return *called;
}

// "swarmsync data get"
std::string FullName(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? command.get_name() : FullName(*parent) + " " + command.get_name();
}

// Those that may follow the command: its own and those of the commands above it.
std::vector<std::string> FlagsOf(const CLI::App& command) {
  std::vector<std::string> flags;
  for (const CLI::App* app = &command; app != nullptr; app = app->get_parent()) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
    }
  }
  return flags;
}

std::vector<std::string> CommandsOf(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* sub :
       command.get_subcommands([](const CLI::App* app) { return !app->get_group().empty(); })) {
    names.push_back(sub->get_name());
  }
  return names;
}

std::string NameOf(const std::string& argument) { return argument.substr(0, argument.find('=')); }

bool IsLength(const std::string& argument) {
  const std::string name = NameOf(argument);
  return name == "--epochs" || name == "--steps";
}

// A training's length can be given in two ways, and a flag overrides the file in either.
std::vector<std::string> WithoutOtherLengths(std::vector<std::string> of_file,
                                             const std::vector<std::string>& given) {
  if (std::any_of(given.begin(), given.end(), IsLength))
    of_file.erase(std::remove_if(of_file.begin(), of_file.end(), IsLength), of_file.end());
  return of_file;
}

}  // namespace

std::vector<std::string> ExpandArguments(std::vector<std::string> arguments) {
  for (std::string& argument : arguments) UseDashes(argument);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string path;
    if (arguments[i].rfind(std::string(kConfigFlag) + "=", 0) == 0) {
      path = arguments[i].substr(std::string(kConfigFlag).size() + 1);
    } else if (arguments[i] == kConfigFlag && i + 1 < arguments.size()) {
      path = arguments[i + 1];
    } else {
      continue;
    }
    const std::vector<std::string> flags = WithoutOtherLengths(ReadConfig(path), arguments);
    auto command = std::find_if_not(arguments.begin(), arguments.end(), IsFlag);
    if (command != arguments.end()) ++command;
    arguments.insert(command, flags.begin(), flags.end());
    break;
  }
  return arguments;
}

UsageError Explain(const CLI::ParseError& error, const CLI::App& tool,
                   const std::vector<std::string>& arguments) {
  const CLI::App& called = Called(tool, arguments);
  const std::string help = fmt::format("`{} --help` lists what there is", FullName(called));
  const std::string text = FirstLine(error.what());
  const std::vector<std::string> known = FlagsOf(called), commands = CommandsOf(called);
  // Where a command is missing, something that is none may stand in its place.
  const bool unknown_word = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr ||
                            (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && !commands.empty());
  if (!unknown_word) return UsageError(text + "; " + help);

  for (const std::string& argument : arguments) {
    const std::string name = NameOf(argument);
    if (IsFlag(name) && std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string nearest = Nearest(name, known);
      return UsageError(fmt::format("unknown flag '{}'; {}{}", name,
                                    nearest.empty() ? "" : fmt::format("did you mean '{}'? ", nearest),
                                    help));
    }
  }
  if (!commands.empty()) {
    for (const std::string& argument : arguments) {
      if (!IsFlag(argument) && argument != called.get_name())
        return UsageError(UnknownName("command", argument, commands));
    }
  }
  return UsageError(text + "; " + help);
}

}  // namespace swarmsync
