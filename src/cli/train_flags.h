#pragma once

#include <string>
#include <vector>

#include "swarmsync/train/config.h"

namespace CLI {
class App;
}

namespace swarmsync {

// Adds the flags of `train` to a command; parsing fills `config`, which must outlive it.
void AddTrainFlags(CLI::App& command, TrainConfig& config);

// Adds those of them that an exchange alone depends on.
void AddExchangeFlags(CLI::App& command, TrainConfig& config);

// The flag --config, which ExpandArguments() (arguments.h) has replaced by what is in the file.
void AddConfigFlag(CLI::App& command);

// Throws UsageError for a 0 in a flag where 0 stands for "not given".
void RefuseZero(const CLI::App& command);

// Splits "a,b,c".
std::vector<std::string> SplitList(const std::string& text);

}  // namespace swarmsync
