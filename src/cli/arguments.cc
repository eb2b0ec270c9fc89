#include "cli/arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/first_line.h"
#include "cli/config_file.h"
#include "cli/flags_of.h"
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

std::string NameOf(const std::string& argument) { return argument.substr(0, argument.find('=')); }

bool IsLength(const std::string& argument) {
  const std::string name = NameOf(argument);
  return name == "--epochs" || name == "--steps";
}

// The file that a command is told to read; "" for none.
std::string ConfigPath(const CLI::App& command, const std::vector<std::string>& arguments) {
  const CLI::Option* const option = command.get_option_no_throw(kConfigFlag);
  if (option == nullptr) return "";
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].rfind(std::string(kConfigFlag) + "=", 0) == 0)
      return arguments[i].substr(std::string(kConfigFlag).size() + 1);
    if (arguments[i] == kConfigFlag && i + 1 < arguments.size()) return arguments[i + 1];
  }
  // What is gone on with has its configuration with it.
  const bool resumes = std::any_of(arguments.begin(), arguments.end(), [](const std::string& argument) {
    return NameOf(argument) == "--resume";
  });
  if (resumes) return "";
  const std::string variable = option->get_envname();
  const char* const path = variable.empty() ? nullptr : std::getenv(variable.c_str());
  return path == nullptr ? "" : path;
}

// Whether a flag that was given overrides one of a file. A training's length can be given in two ways.
bool Overrides(const std::string& given, const std::string& flag) {
  return NameOf(given) == flag || (IsLength(given) && IsLength(flag));
}

}  // namespace

GivenArguments ExpandArguments(std::vector<std::string> arguments, const CLI::App& tool) {
  GivenArguments given;
  for (std::string& argument : arguments) UseDashes(argument);
  const CLI::App& command = Called(tool, arguments);
  if (const std::string path = ConfigPath(command, arguments); !path.empty()) {
    std::vector<std::string> of_file;
    for (const FileFlag& entry : ReadConfigFile(path, command)) {
      const bool overridden =
          std::any_of(arguments.begin(), arguments.end(),
                      [&](const std::string& argument) { return Overrides(argument, entry.flag); });
      if (overridden || entry.argument.empty()) continue;
      of_file.push_back(entry.argument);
      given.places[entry.flag] = entry.place;
    }
    auto behind_command = std::find_if_not(arguments.begin(), arguments.end(), IsFlag);
    if (behind_command != arguments.end()) ++behind_command;
    arguments.insert(behind_command, of_file.begin(), of_file.end());
  }
  given.arguments = std::move(arguments);
  return given;
}

std::string WithPlace(const std::string& message, const std::map<std::string, std::string>& places) {
  for (const auto& [flag, place] : places) {
    const std::size_t at = message.find(flag), end = at + flag.size();
    if (at == std::string::npos ||
        (end < message.size() && (std::isalnum(message[end]) != 0 || message[end] == '-')))
      continue;
    return fmt::format("{} ({} is in {})", message, flag, place);
  }
  return message;
}

UsageError Explain(const CLI::ParseError& error, const CLI::App& tool,
                   const std::vector<std::string>& arguments) {
  const CLI::App& called = Called(tool, arguments);
  const std::string help = fmt::format("`{} --help` lists what there is", FullName(called));
  const std::string text = FirstLine(error.what());
  const std::vector<std::string> known = FlagsOf(called);
  std::vector<std::string> commands;
  for (const CLI::App* command : ShownCommands(called)) commands.push_back(command->get_name());
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
