#include "cli/flags_of.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>

namespace swarmsync {
namespace {

// CLI11 has no place in an option for the names of its values. A validator that never runs keeps them.
constexpr const char* kValues = "values";
constexpr char kBetween = '\n';

}  // namespace

std::string FullName(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? command.get_name() : FullName(*parent) + " " + command.get_name();
}

std::vector<std::string> FlagsOf(const CLI::App& command) {
  std::vector<std::string> flags;
  for (const CLI::App* app = &command; app != nullptr; app = app->get_parent()) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
    }
  }
  return flags;
}

std::vector<std::string> FlagsInFiles(const CLI::App& command) {
  std::vector<std::string> flags = FlagsOf(command);
  for (const char* none : {"--help", "--version", "--config", "--print-config", "--dry-run"})
    flags.erase(std::remove(flags.begin(), flags.end(), none), flags.end());
  return flags;
}

const CLI::Option* OptionOf(const CLI::App& command, const std::string& flag) {
  for (const CLI::App* app = &command; app != nullptr; app = app->get_parent()) {
    if (const CLI::Option* option = app->get_option_no_throw(flag)) return option;
  }
  return nullptr;
}

std::vector<const CLI::App*> ShownCommands(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App* app) { return !app->get_group().empty(); });
}

std::vector<const CLI::Option*> ShownOptions(const CLI::App& command) {
  return command.get_options([](const CLI::Option* option) { return !option->get_group().empty(); });
}

bool TakesValue(const CLI::Option& option) {
  return option.get_type_size() != 0 && option.get_expected_min() > 0;
}

void SetValues(CLI::Option& option, const std::vector<std::string>& values) {
  const auto accept = [](std::string&) { return std::string(); };
  option.check(CLI::Validator(accept, fmt::format("{}", fmt::join(values, std::string(1, kBetween))), kValues)
                   .active(false));
}

std::vector<std::string> ValuesOf(const CLI::Option& option) {
  CLI::Validator values;
  try {
    values = *const_cast<CLI::Option&>(option).get_validator(kValues);  // which changes nothing
  } catch (const CLI::OptionNotFound&) {
    return {};
  }
  return CLI::detail::split(values.active().get_description(), kBetween);
}

}  // namespace swarmsync
