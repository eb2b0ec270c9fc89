#pragma once

#include <set>
#include <string>
#include <vector>

#include "swarmsync/train/config.h"

namespace CLI {
class App;
}

namespace swarmsync {

// A setting of a TOML file, as a flag.
struct FileFlag {
  std::string flag;      // "--period"
  std::string argument;  // "--period=16"; "" where the file leaves a flag out that takes no value
  std::string place;     // "run.toml, line 3"
};

// Reads the settings of a file for a command. Keys are the flags' names, with dashes or underscores; values
// are numbers, texts, true or false, or an array of such for a flag that takes a list. Throws UsageError,
// with the line, for what it does not know.
std::vector<FileFlag> ReadConfigFile(const std::string& path, const CLI::App& command);

// A file from which the same command makes the same configuration: every flag of `train` with its
// explanation, in the groups of --help. given: what the user asked for; what was left open in it, and follows
// from the rest and the machine, stands as a comment with the value that `effective` has. no_zero: flags
// whose 0 means "not given".
std::string WriteConfigFile(const TrainConfig& given, const TrainConfig& effective,
                            const std::set<std::string>& no_zero);

}  // namespace swarmsync
