#include "cli/manual.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <memory>
#include <sstream>
#include <vector>

#include "base/print.h"
#include "cli/commands.h"
#include "cli/flags_of.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/base/names.h"

namespace swarmsync {
namespace {

constexpr std::string_view kExample = "Example: ";

// Text as roff, where a backslash, a line's first dot and a plain dash mean something.
std::string Roff(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if ((c == '.' || c == '\'') && (escaped.empty() || escaped.back() == '\n')) escaped += "\\&";
    escaped += c == '\\' ? "\\e" : c == '-' ? "\\-" : std::string(1, c);
  }
  return escaped;
}

std::string Bold(std::string_view text) { return "\\fB" + Roff(text) + "\\fR"; }
std::string Italic(std::string_view text) { return "\\fI" + Roff(text) + "\\fR"; }
std::string Section(const char* title) { return fmt::format(".SH {}\n", title); }
std::string Item(const std::string& name, std::string_view meaning) {
  return fmt::format(".TP\n{}\n{}\n", name, Roff(meaning));
}

template <class Facts>
std::string Items(const Facts& facts) {
  std::string items;
  for (const Fact& fact : facts) items += Item(Bold(fact.name), fact.meaning);
  return items;
}

// "swarmsync-data-get"
std::string PageName(const CLI::App& command) {
  return CLI::detail::find_and_replace(FullName(command), " ", "-");
}

std::string NameOf(const CLI::Option& option) {
  std::string names;
  const auto add = [&](const char* dashes, const std::string& name) {
    names += (names.empty() ? "" : ", ") + Bold(dashes + name);
  };
  for (const std::string& name : option.get_snames()) add("-", name);
  for (const std::string& name : option.get_lnames()) add("--", name);
  if (option.get_positional()) names = Italic(option.get_name(true));
  if (!TakesValue(option) || option.get_positional()) return names;
  names += " " + Italic(option.get_type_name());
  if (!option.get_default_str().empty())
    names += fmt::format(" (default: {})", Roff(option.get_default_str()));
  if (option.get_required()) names += " (required)";
  return names;
}

std::string Options(const CLI::App& command) {
  std::string text, group;
  for (const CLI::Option* option : ShownOptions(command)) {
    if (option->get_group() != group) {
      group = option->get_group();
      text += fmt::format(".SS \"{}\"\n", Roff(group));
    }
    std::string help = option->get_description();
    if (!option->get_envname().empty()) help += fmt::format(" [${}]", option->get_envname());
    text += Item(NameOf(*option), help);
  }
  return text.empty() ? "" : Section("OPTIONS") + text;
}

// What stands under the flags in --help: prose, and the examples.
struct Footer {
  std::string prose, examples;
};

Footer FooterOf(const CLI::App& command) {
  Footer footer;
  std::istringstream lines(command.get_footer());
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(kExample, 0) == 0) {
      footer.examples += fmt::format(".nf\n{}\n.fi\n", Roff(line.substr(kExample.size())));
    } else {
      footer.prose += Roff(line) + "\n";
    }
  }
  return footer;
}

std::string Commands(const CLI::App& command) {
  std::string items;
  for (const CLI::App* below : ShownCommands(command))
    items += Item(Bold(below->get_name()), below->get_description());
  return items.empty() ? "" : Section("COMMANDS") + items;
}

// The pages above it and below it.
std::string SeeAlso(const CLI::App& command) {
  std::vector<const CLI::App*> others = ShownCommands(command);
  if (command.get_parent() != nullptr) others.insert(others.begin(), command.get_parent());
  std::string pages;
  for (const CLI::App* other : others)
    pages += fmt::format("{}.BR {} (1)", pages.empty() ? "" : " ,\n", Roff(PageName(*other)));
  return pages.empty() ? "" : Section("SEE ALSO") + pages + "\n";
}

const CLI::App& Find(const CLI::App& tool, const std::vector<std::string>& path) {
  const CLI::App* command = &tool;
  for (const std::string& name : path) {
    std::vector<std::string> known;
    const CLI::App* found = nullptr;
    for (const CLI::App* below : ShownCommands(*command)) {
      known.push_back(below->get_name());
      if (below->get_name() == name) found = below;
    }
    if (found == nullptr) throw UsageError(UnknownName("command", name, known));
    command = found;
  }
  return *command;
}

void WritePages(const CLI::App& command, const std::filesystem::path& directory) {
  WriteFileAtomically(directory / (PageName(command) + ".1"), ManualPage(command));
  for (const CLI::App* below : ShownCommands(command)) WritePages(*below, directory);
}

}  // namespace

std::string ManualPage(const CLI::App& command) {
  const bool is_tool = command.get_parent() == nullptr;
  const bool writes_run = command.get_option_no_throw("--resume") != nullptr;
  const Footer footer = FooterOf(command);
  std::string title = PageName(command), summary = command.get_description();
  for (char& c : title) c = static_cast<char>(std::toupper(c));
  if (!summary.empty() && summary.back() == '.') summary.pop_back();

  std::string synopsis = Bold(FullName(command)) + " [" + Italic("OPTIONS") + "]";
  if (!ShownCommands(command).empty()) synopsis += " " + Italic("COMMAND");
  for (const CLI::Option* option : ShownOptions(command)) {
    if (option->get_positional()) synopsis += " " + Italic(option->get_name(true)) + " ...";
  }
  std::string page =
      fmt::format(".TH \"{}\" 1 \"\" \"swarmsync {}\" \"User Commands\"\n", Roff(title), SWARMSYNC_VERSION);
  page += Section("NAME") + Roff(PageName(command)) + " \\- " + Roff(summary) + "\n";
  page += Section("SYNOPSIS") + synopsis + "\n";
  page += Section("DESCRIPTION") + Roff(summary) + ".\n" + footer.prose;
  page += Commands(command) + Options(command);
  if (writes_run) page += Section("FILES") + "In the directory of the run:\n" + Items(kRunFiles);
  if (is_tool || writes_run) page += Section("ENVIRONMENT") + Items(kEnvironment);
  page += Section("EXIT STATUS") + Items(kExitCodes);
  if (!footer.examples.empty()) page += Section("EXAMPLES") + footer.examples;
  return page + SeeAlso(command);
}

void AddManCommand(CLI::App& tool, const CommandContext&, Action& run) {
  auto path = std::make_shared<std::vector<std::string>>();
  auto directory = std::make_shared<std::string>();
  CLI::App* command = tool.add_subcommand("man", "Print a manual page, of the tool or of a command");
  command->footer("Example: swarmsync man train | man -l -");
  std::vector<std::string> names;
  for (const CLI::App* other : ShownCommands(tool)) names.push_back(other->get_name());
  SetValues(*command->add_option("command", *path, "such as train, or data get")->type_name("NAME"), names);
  command->add_option("--directory", *directory, "write all pages into this directory instead")
      ->type_name("DIR");
  command->callback([&run, &tool, path, directory] {
    run = [&tool, path, directory] {
      if (directory->empty()) {
        PrintText(stdout, ManualPage(Find(tool, *path)));
      } else {
        WritePages(tool, *directory);
      }
      return 0;
    };
  });
}

}  // namespace swarmsync
