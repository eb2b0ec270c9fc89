#pragma once

#include <filesystem>
#include <functional>

#include "compare/plan.h"
#include "compare/run_store.h"

namespace swarmsync {

// Makes a run of a comparison, a `swarmsync train` of its own, in a new directory that is gone
// afterwards. Returns what is to be kept of it, failed or not. `on_wait` is called about ten times a second;
// if it throws, the run is ended. Safe from any thread.
RunRecord MakeRun(const PlannedRun& run, const std::filesystem::path& directory,
                  const std::function<void()>& on_wait);

}  // namespace swarmsync
