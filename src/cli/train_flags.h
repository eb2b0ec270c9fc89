#pragma once

#include <set>
#include <string>
#include <vector>

#include "swarmsync/train/config.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace swarmsync {

// Adds the flags of `train` to a command; parsing fills `config`, which must outlive it.
void AddTrainFlags(CLI::App& command, TrainConfig& config);

// Adds those of them that an exchange alone depends on.
void AddExchangeFlags(CLI::App& command, TrainConfig& config);

// Names the file of a `train` without --config.
inline constexpr const char* kConfigVariable = "SWARMSYNC_CONFIG";

// The flag --config, which ExpandArguments() (arguments.h) has replaced by what is in the file.
CLI::Option* AddConfigFlag(CLI::App& command);

// The flags, without dashes in front, whose 0 stands for "not given".
const std::set<std::string>& FlagsWithoutZero();

// Throws UsageError for a 0 that was given to one of them.
void RefuseZero(const CLI::App& command);

// Splits "a,b,c".
std::vector<std::string> SplitList(const std::string& text);

}  // namespace swarmsync
