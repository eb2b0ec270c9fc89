#include "cli/train_flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdint>
#include <functional>
#include <limits>
#include <set>
#include <string_view>
#include <type_traits>

#include "base/numbers.h"
#include "cli/flags_of.h"
#include "swarmsync/base/error.h"
#include "train/config_fields.h"

namespace swarmsync {
namespace {

// "0.1,0.2"
std::vector<double> ParseNumbers(const std::string& text) {
  std::vector<double> numbers;
  for (const std::string& part : SplitList(text)) {
    const auto number = ParseNumber(part);
    if (!number) {
      throw UsageError(
          fmt::format("'{}' in '{}' is not a number; give numbers with commas between", part, text));
    }
    numbers.push_back(*number);
  }
  return numbers;
}

// Texts that are the path of a directory.
const std::set<std::string_view> kDirectories{"data-dir", "out", "resume"};
const std::set<std::string_view> kFiles{"init"};

// Numbers whose 0 is "not given".
const std::set<std::string> kNoZero{"epochs", "steps", "threads-per-worker", "min-workers", "group-period"};

// What is wrong with the text of a number from 0 to 2^64 - 1, beyond which the parser wraps around or stops.
std::string RefuseBeyondUnsigned(const std::string& text) {
  std::uint64_t number = 0;
  const bool too_large =
      std::from_chars(text.data(), text.data() + text.size(), number).ec == std::errc::result_out_of_range;
  if (text.rfind('-', 0) != 0 && !too_large) return "";
  return fmt::format("{} is {}; give a whole number from 0 to {}", text, too_large ? "too large" : "negative",
                     std::numeric_limits<std::uint64_t>::max());
}

// Adds a flag for each field of the configuration.
struct FlagAdder {
  CLI::App& command;

  template <class T>
  void operator()(const char* name, T& member, const char* help, const char* group) const {
    const std::string flag = std::string("--") + name;
    CLI::Option* option = nullptr;
    if constexpr (std::is_same_v<T, bool>) {
      option = command.add_flag(flag, member, help);
    } else if constexpr (std::is_enum_v<T>) {
      option = AddParsed(flag, help, [&member](const std::string& text) { member = ParseEnum<T>(text); });
      option->type_name("NAME")->default_str(ToString(member));
      SetValues(*option, AllNames<T>());
    } else if constexpr (kIsText<T>) {
      option = AddParsed(flag, help, [&member](const std::string& text) { ParseText(text, member); });
      option->type_name("NAME")->default_str(ToString(member));
    } else if constexpr (std::is_same_v<T, Inertia>) {
      option = AddParsed(flag, help, [&member](const std::string& text) { member = ParseInertia(text); });
      option->type_name("X");
    } else if constexpr (std::is_same_v<T, std::optional<double>>) {
      option = command.add_option(flag, member, help)->type_name("X");
    } else if constexpr (std::is_same_v<T, std::vector<double>>) {
      option = AddParsed(flag, help, [&member](const std::string& text) { member = ParseNumbers(text); });
      option->type_name("X,X,...");
    } else {
      option = command.add_option(flag, member, help);
      if (member != T()) option->capture_default_str();
      const char* const text = kDirectories.count(name) > 0 ? "DIR"
                               : kFiles.count(name) > 0     ? "FILE"
                                                            : "TEXT";
      option->type_name(std::is_same_v<T, std::string> ? text : std::is_integral_v<T> ? "N" : "X");
      if constexpr (std::is_unsigned_v<T>) option->check(RefuseBeyondUnsigned);
    }
    option->group(group)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }

 private:
  // parse: throws UsageError for what it does not know.
  CLI::Option* AddParsed(const std::string& flag, const char* help,
                         const std::function<void(const std::string&)>& parse) const {
    const auto parse_flag = [flag, parse](const std::string& text) {
      try {
        parse(text);
      } catch (const UsageError& error) {
        throw UsageError(flag + ": " + error.what());
      }
    };
    return command.add_option_function<std::string>(flag, parse_flag, help);
  }
};

}  // namespace

void AddTrainFlags(CLI::App& command, TrainConfig& config) { VisitFields(config, FlagAdder{command}); }

void AddExchangeFlags(CLI::App& command, TrainConfig& config) {
  const std::set<std::string_view> groups{kSyncGroup, kSwarmGroup, kPeersGroup};
  // Those of the groups that say what happens between exchanges.
  const std::set<std::string_view> beside{"period-by-lr", "sync-warmup-steps", "momentum-at-sync",
                                          "overlap",      "group-period",      "recalibrate"};
  const std::set<std::string_view> others{"workers", "backend", "threads-per-worker", "timeout", "transport",
                                          "link",    "seed"};
  VisitFields(config, [&](const char* name, auto& member, const char* help, const char* group) {
    if ((groups.count(group) > 0 && beside.count(name) == 0) || others.count(name) > 0)
      FlagAdder{command}(name, member, help, group);
  });
}

CLI::Option* AddConfigFlag(CLI::App& command) {
  return command.add_option("--config", "TOML file with the same names as the flags; a flag overrides it")
      ->type_name("FILE")
      ->group("The run");
}

const std::set<std::string>& FlagsWithoutZero() { return kNoZero; }

void RefuseZero(const CLI::App& command) {
  for (const std::string& flag : kNoZero) {
    const CLI::Option* option = command.get_option("--" + flag);
    if (option->count() > 0 && option->as<std::int64_t>() == 0) {
      throw UsageError(fmt::format("--{} is 0; it must be at least 1", flag));
    }
  }
}

std::vector<std::string> SplitList(const std::string& text) { return CLI::detail::split(text, ','); }

}  // namespace swarmsync
