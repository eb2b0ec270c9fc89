#include "cli/completions.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "base/print.h"
#include "cli/commands.h"
#include "cli/flags_of.h"

namespace swarmsync {
namespace {

std::string Replace(const std::string& text, const std::string& from, const std::string& to) {
  return CLI::detail::find_and_replace(text, from, to);
}

// All commands, each behind the one that it is under.
void Collect(const CLI::App& command, std::vector<const CLI::App*>& all) {
  all.push_back(&command);
  for (const CLI::App* below : ShownCommands(command)) Collect(*below, all);
}

std::vector<const CLI::App*> AllCommands(const CLI::App& tool) {
  std::vector<const CLI::App*> all;
  Collect(tool, all);
  return all;
}

// " data get"; "" for the tool.
std::string Path(const CLI::App& command) {
  return command.get_parent() == nullptr ? "" : Path(*command.get_parent()) + " " + command.get_name();
}

// Those that may follow a command; its parents' too.
std::vector<const CLI::Option*> OptionsOf(const CLI::App& command) {
  std::vector<const CLI::Option*> options = ShownOptions(command);
  if (command.get_parent() == nullptr) return options;
  for (const CLI::Option* option : OptionsOf(*command.get_parent())) {
    const std::string name = option->get_name();
    if (name != "--version" && std::none_of(options.begin(), options.end(),
                                            [&](const CLI::Option* own) { return own->get_name() == name; }))
      options.push_back(option);
  }
  return options;
}

std::vector<std::string> Names(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  return names;
}

bool IsFile(const CLI::Option& option) { return option.get_type_name() == "FILE"; }
bool IsDirectory(const CLI::Option& option) { return option.get_type_name() == "DIR"; }

// bash: what may follow is looked up by the command so far and the word before the cursor.
std::string Bash(const CLI::App& tool) {
  std::string commands, words;
  std::map<std::string, std::vector<std::string>> after;  // what is done behind these commands and flags
  for (const CLI::App* command : AllCommands(tool)) {
    const std::string path = Path(*command);
    std::vector<std::string> flags, others;
    for (const CLI::App* below : ShownCommands(*command)) {
      others.push_back(below->get_name());
      commands += fmt::format("{}'{} {}'", commands.empty() ? "" : "|", path, below->get_name());
    }
    for (const CLI::Option* option : OptionsOf(*command)) {
      const std::vector<std::string> values = ValuesOf(*option);
      if (option->get_positional()) {
        others.insert(others.end(), values.begin(), values.end());
        continue;
      }
      for (const std::string& name : Names(*option)) {
        flags.push_back(name);
        if (!TakesValue(*option)) continue;
        const std::string action = IsFile(*option)        ? "kind=file"
                                   : IsDirectory(*option) ? "kind=directory"
                                   : values.empty()       ? "kind=none"
                                                          : fmt::format("words='{}'", fmt::join(values, " "));
        after[action].push_back(fmt::format("'{} {}'", path, name));
      }
    }
    words += fmt::format("        '{}') flags='{}' words='{}' ;;\n", path, fmt::join(flags, " "),
                         fmt::join(others, " "));
  }
  std::string values;
  for (const auto& [action, places] : after)
    values += fmt::format("    {}) {} ;;\n", fmt::join(places, "|"), action);
  return Replace(Replace(Replace(R"(# Completions of swarmsync for bash, made by `swarmsync completion bash`.
_swarmsync() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= kind= flags= words= i
  # bash takes = and : for words of their own.
  case $word in
    =) word= ;;
    :) word= kind=file ;;
    *) case $before in
         =) before=${COMP_WORDS[COMP_CWORD-2]} ;;
         :) kind=file ;;
       esac ;;
  esac
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$command ${COMP_WORDS[i]}" in
      @COMMANDS@) command+=" ${COMP_WORDS[i]}" ;;
    esac
  done
  [[ $kind ]] || case "$command $before" in
@VALUES@    *)
      case $command in
@WORDS@      esac ;;
  esac
  [[ $word == -* ]] && words=$flags
  case $kind in
    none) COMPREPLY=() ;;
    file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    directory) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word") ;;
  esac
  [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *: ]] && compopt -o nospace
  return 0
}
complete -F _swarmsync swarmsync
)",
                                 "@COMMANDS@", commands),
                         "@VALUES@", values),
                 "@WORDS@", words);
}

// zsh: a function for each command. In a specification colons and brackets divide.
std::string InSpecification(const std::string& text) {
  std::string escaped = Replace(text, "\\", "\\\\");
  for (const char* special : {":", "[", "]"})
    escaped = Replace(escaped, special, std::string("\\") + special);
  return Replace(escaped, "'", "'\\''");
}

std::string ZshFunction(const CLI::App& command) {
  return "_swarmsync" + Replace(Replace(Path(command), " ", "_"), "-", "_");
}

std::string ZshValue(const CLI::Option& option) {
  const std::vector<std::string> values = ValuesOf(option);
  const std::string action =
      IsFile(option)        ? "_files"
      : IsDirectory(option) ? "_files -/"
      : values.empty()      ? " "
                       : fmt::format("({})", Replace(fmt::format("{}", fmt::join(values, " ")), ":", "\\:"));
  return fmt::format(":{}:{}", InSpecification(option.get_type_name()), action);
}

std::string Zsh(const CLI::App& tool) {
  std::string script =
      "#compdef swarmsync\n# Completions of swarmsync for zsh, made by `swarmsync completion zsh`.\n";
  for (const CLI::App* command : AllCommands(tool)) {
    std::vector<std::string> specifications;
    for (const CLI::Option* option : OptionsOf(*command)) {
      const std::string value = TakesValue(*option) ? ZshValue(*option) : "";
      if (option->get_positional()) {
        specifications.push_back(fmt::format("'*{}'", value));
        continue;
      }
      for (const std::string& name : Names(*option)) {
        specifications.push_back(fmt::format("'{}{}[{}]{}'", name, value.empty() ? "" : "=",
                                             InSpecification(option->get_description()), value));
      }
    }
    const std::vector<const CLI::App*> below = ShownCommands(*command);
    if (!below.empty()) {
      specifications.emplace_back("'1: :->command'");
      specifications.emplace_back("'*:: :->rest'");
    }
    script += fmt::format("\n{}() {{\n  local curcontext=\"$curcontext\" state\n  _arguments -C \\\n    {}\n",
                          ZshFunction(*command), fmt::join(specifications, " \\\n    "));
    if (!below.empty()) {
      script += "  case $state in\n    command)\n      local -a commands=(\n";
      for (const CLI::App* one : below)
        script +=
            fmt::format("        '{}:{}'\n", one->get_name(), Replace(one->get_description(), "'", "'\\''"));
      script += "      )\n      _describe command commands ;;\n    rest)\n      case $words[1] in\n";
      for (const CLI::App* one : below)
        script += fmt::format("        {}) {} ;;\n", one->get_name(), ZshFunction(*one));
      script += "      esac ;;\n  esac\n";
    }
    script += "}\n";
  }
  // Sourced, or loaded by the first completion as a file of $fpath.
  return script +
         "\nif [[ $funcstack[1] == _swarmsync ]]; then\n  _swarmsync \"$@\"\nelse\n  compdef _swarmsync "
         "swarmsync\nfi\n";
}

std::string InFishQuotes(const std::string& text) {
  return "'" + Replace(Replace(text, "\\", "\\\\"), "'", "\\'") + "'";
}

std::string Fish(const CLI::App& tool) {
  std::string commands, rules;
  for (const CLI::App* command : AllCommands(tool)) {
    const std::string here = fmt::format("complete -c swarmsync -n \"__swarmsync_at '{}'\"", Path(*command));
    for (const CLI::App* below : ShownCommands(*command)) {
      commands += fmt::format(" '{} {}'", Path(*command), below->get_name());
      rules +=
          fmt::format("{} -a {} -d {}\n", here, below->get_name(), InFishQuotes(below->get_description()));
    }
    for (const CLI::Option* option : OptionsOf(*command)) {
      const std::vector<std::string> values = ValuesOf(*option);
      const std::string list = fmt::format(" -a '{}'", fmt::join(values, " "));
      if (option->get_positional()) {
        rules += here + list + "\n";
        continue;
      }
      std::string rule = here;
      for (const std::string& name : option->get_lnames()) rule += " -l " + name;
      for (const std::string& name : option->get_snames()) rule += " -s " + name;
      if (TakesValue(*option)) {
        rule += IsFile(*option)        ? " -r -F"
                : IsDirectory(*option) ? " -x -a '(__fish_complete_directories)'"
                : values.empty()       ? " -x"
                                       : " -x" + list;
      }
      rules += rule + " -d " + InFishQuotes(option->get_description()) + "\n";
    }
  }
  return Replace(Replace(R"(# Completions of swarmsync for fish, made by `swarmsync completion fish`.
function __swarmsync_at
  set -l command ''
  for word in (commandline -opc)
    switch "$command $word"
      case@COMMANDS@
        set command "$command $word"
    end
  end
  test "$command" = "$argv[1]"
end
complete -c swarmsync -f
@RULES@)",
                         "@COMMANDS@", commands),
                 "@RULES@", rules);
}

}  // namespace

std::string CompletionScript(const CLI::App& tool, Shell shell) {
  switch (shell) {
    case Shell::kBash:
      return Bash(tool);
    case Shell::kZsh:
      return Zsh(tool);
    case Shell::kFish:
      break;
  }
  return Fish(tool);
}

void AddCompletionCommand(CLI::App& tool, const CommandContext&, Action& run) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = tool.add_subcommand("completion", "Print a script that completes commands and flags");
  command->footer("Example: source <(swarmsync completion bash)");
  SetValues(*command->add_option("shell", *shell, "bash, zsh or fish")->type_name("NAME")->required(),
            AllNames<Shell>());
  command->callback([&run, &tool, shell] {
    run = [&tool, shell] {
      PrintText(stdout, CompletionScript(tool, ParseEnum<Shell>(*shell)));
      return 0;
    };
  });
}

}  // namespace swarmsync
