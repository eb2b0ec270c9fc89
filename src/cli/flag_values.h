#pragma once

#include "swarmsync/model/registry.h"

namespace CLI {
class App;
}

namespace swarmsync {

// Says which values the flags have whose names are not those of an enumeration: data sets, models,
// synchronizers. For commands that have some of the flags of `train`.
void NameValues(CLI::App& command, const ModelRegistry& models);

}  // namespace swarmsync
