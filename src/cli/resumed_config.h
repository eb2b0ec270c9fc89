#pragma once

#include <string>

#include "swarmsync/train/config.h"

namespace CLI {
class App;
}

namespace swarmsync {

// A directory that was named, without a slash at its end.
std::string AbsoluteDirectory(const std::string& name);

// The configuration of the run in the directory given.resume, with what may change and was given to this
// command. `command`: that parsed `given`. Throws DataError when there is no such run, UsageError for a flag
// that may not change.
TrainConfig ResumedConfig(const TrainConfig& given, const CLI::App& command);

}  // namespace swarmsync
