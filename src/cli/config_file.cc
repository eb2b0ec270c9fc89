#include "cli/config_file.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <type_traits>

#include "cli/flags_of.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/names.h"
#include "train/config_fields.h"

namespace swarmsync {
namespace {

constexpr std::size_t kColumns = 100;  // of a comment

// What an array may hold; nothing for anything else. The shortest text that is the same number.
std::optional<std::string> TextOf(const toml::node& value) {
  if (const auto text = value.value_exact<std::string>()) return *text;
  if (const auto on = value.value_exact<bool>()) return *on ? "true" : "false";
  if (const auto whole = value.value_exact<std::int64_t>()) return std::to_string(*whole);
  if (const auto number = value.value_exact<double>()) return fmt::format("{}", *number);
  return std::nullopt;
}

std::optional<std::string> TextOrListOf(const toml::node& value) {
  const toml::array* const array = value.as_array();
  if (array == nullptr) return TextOf(value);
  std::string list;
  for (const toml::node& element : *array) {
    const auto text = TextOf(element);
    if (!text) return std::nullopt;
    list += (list.empty() ? "" : ",") + *text;
  }
  return list;
}

// Reads one entry of a file.
class EntryReader {
 public:
  EntryReader(const std::string& path, const CLI::App& command)
      : path_(path), command_(command), known_(FlagsInFiles(command)) {}

  FileFlag Read(const std::string& key, const toml::node& value, std::size_t line) {
    const std::string place = fmt::format("{}, line {}", path_, line);
    FileFlag entry{"--" + key, "", place};
    std::replace(entry.flag.begin(), entry.flag.end(), '_', '-');
    if (value.is_table() || value.is_array_of_tables()) {
      throw UsageError(fmt::format(
          "--config {}: [{}] is a table; flags' names stand by themselves, with a single value", place, key));
    }
    if (std::find(known_.begin(), known_.end(), entry.flag) == known_.end()) {
      const std::string nearest = Nearest(entry.flag, known_);
      throw UsageError(fmt::format(
          "--config {}: unknown key '{}'; {}`{} --help` lists what there is", place, key,
          nearest.empty() ? "" : fmt::format("did you mean '{}'? ", nearest.substr(2)), FullName(command_)));
    }
    const auto [before, is_new] = seen_.emplace(entry.flag, line);
    if (!is_new) {
      throw UsageError(fmt::format("--config {}: '{}' is there twice, in line {} too; leave one out", place,
                                   key, before->second));
    }
    const auto text = TextOrListOf(value);
    if (!text) {
      throw UsageError(
          fmt::format("--config {}: '{}' is a date, a time or a list of lists; give a number, a text, true "
                      "or false",
                      place, key));
    }
    const bool takes_no_value = OptionOf(command_, entry.flag)->get_expected_min() == 0;
    if (!takes_no_value || *text != "false") entry.argument = entry.flag + "=" + *text;
    return entry;
  }

 private:
  const std::string& path_;
  const CLI::App& command_;
  const std::vector<std::string> known_;
  std::map<std::string, std::size_t> seen_;
};

std::string Quoted(const std::string& text) {
  const toml::value<std::string> value(text);
  std::ostringstream quoted;
  quoted << toml::toml_formatter(value, toml::format_flags::none);
  return quoted.str();
}

// As TOML; "" for what is not given.
template <class T>
std::string ToToml(const T& member) {
  if constexpr (std::is_same_v<T, bool>) {
    return member ? "true" : "false";
  } else if constexpr (std::is_same_v<T, std::optional<double>>) {
    return member ? fmt::format("{}", *member) : "";
  } else if constexpr (std::is_same_v<T, std::vector<double>>) {
    std::string list;
    for (const double number : member) list += fmt::format("{}{}", list.empty() ? "" : ", ", number);
    return list.empty() ? "" : "[" + list + "]";
  } else if constexpr (std::is_same_v<T, std::string>) {
    return member.empty() ? "" : Quoted(member);
  } else if constexpr (std::is_arithmetic_v<T>) {
    const std::string text = fmt::format("{}", member);
    if constexpr (std::is_unsigned_v<T>) {  // a whole number of TOML has 63 bits
      if (member > static_cast<T>(std::numeric_limits<std::int64_t>::max())) return Quoted(text);
    }
    return text;
  } else {
    if constexpr (std::is_same_v<T, Inertia>) {
      if (!member.is_open() && !member.varies()) return fmt::format("{}", member.value());
    }
    const std::string text = ToString(member);
    return text.empty() ? "" : Quoted(text);
  }
}

std::string Comment(const std::string& text) {
  std::istringstream words(text);
  std::string lines = "#";
  std::size_t column = lines.size();
  for (std::string word; words >> word;) {
    if (column + 1 + word.size() > kColumns) {
      lines += "\n#";
      column = 1;
    }
    lines += " " + word;
    column += 1 + word.size();
  }
  return lines + "\n";
}

}  // namespace

std::vector<FileFlag> ReadConfigFile(const std::string& path, const CLI::App& command) {
  std::ifstream file(path);
  if (!file || std::filesystem::is_directory(path)) {
    throw UsageError(fmt::format("--config {}: no such file, or it cannot be read; name a TOML file", path));
  }
  try {
    const toml::table table = toml::parse(file, path);
    std::vector<std::pair<std::string, const toml::node*>> entries;
    for (const auto& [key, value] : table) entries.emplace_back(key.str(), &value);
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
      return a.second->source().begin.line < b.second->source().begin.line;
    });
    EntryReader reader(path, command);
    std::vector<FileFlag> flags;
    for (const auto& [key, value] : entries) {
      flags.push_back(reader.Read(key, *value, value->source().begin.line));
    }
    return flags;
  } catch (const toml::parse_error& error) {
    throw UsageError(
        fmt::format("--config {}, line {}: {}", path, error.source().begin.line, error.description()));
  }
}

std::string WriteConfigFile(const TrainConfig& given, const TrainConfig& effective,
                            const std::set<std::string>& no_zero) {
  // By name: the text of the default, and of the value in effect.
  std::map<std::string, std::string> defaults, in_effect;
  const auto note_in = [](std::map<std::string, std::string>& texts) {
    return [&texts](const char* name, const auto& member, const char*, const char*) {
      texts[name] = ToToml(member);
    };
  };
  const TrainConfig by_default;
  VisitFields(by_default, note_in(defaults));
  VisitFields(effective, note_in(in_effect));

  std::string file =
      "# `swarmsync train --config FILE` reads this; a flag overrides it. What stands behind a # and an "
      "equals\n"
      "# sign was left open, and follows from the rest and from the machine.\n";
  std::string_view last_group;
  VisitFields(given, [&](const char* name, const auto& member, const char* help, const char* group) {
    if (group != last_group) file += fmt::format("\n\n## {}\n", group);
    last_group = group;
    const bool is_default = ToToml(member) == defaults[name];
    const auto is_none = [&](const std::string& text) {
      return text.empty() || (text == "0" && no_zero.count(name) > 0);
    };
    const std::string value = in_effect[name];
    const bool is_open = is_none(value) || (is_default && value != defaults[name]);
    const bool is_new_directory = is_open && std::string_view(name) == "out";  // another one each time
    file += fmt::format("\n{}{}{} ={}{}\n", Comment(help), is_open ? "# " : "", name,
                        is_none(value) || is_new_directory ? "" : " ",
                        is_none(value) || is_new_directory ? "" : value);
  });
  return file;
}

}  // namespace swarmsync
