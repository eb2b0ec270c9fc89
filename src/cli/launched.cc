// What the commands that can be ranks of a launched job share.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "swarmsync/base/error.h"
#include "swarmsync/launch/environment.h"

namespace swarmsync {

std::unique_ptr<Communicator> ConnectLaunched(const TrainConfig& config, const CommandContext& context) {
  CheckTransport(config, context, DiscoverRank(GetEnvironment));
  const std::chrono::duration<double> timeout(config.timeout);
  return config.transport == Transport::kMpi ? context.mpi(timeout) : ConnectFromEnvironment({timeout});
}

void CheckRanksAgree(const TrainConfig& config, Communicator& comm) {
  // A host's own affairs, and what only rank 0 does.
  const std::set<std::string> may_differ{"threads_per_worker", "loader_threads", "data_dir", "device",
                                         "overwrite",          "quiet",          "progress"};
  const std::vector<std::string> all = comm.AllGather(ToJsonText(config));
  const auto first = nlohmann::json::parse(all[0]);
  for (int rank = 1; rank < comm.size(); ++rank) {
    const auto other = nlohmann::json::parse(all[static_cast<std::size_t>(rank)]);
    for (const auto& [key, value] : first.items()) {
      if (may_differ.count(key) > 0 || other.value(key, nlohmann::json()) == value) continue;
      std::string flag = key;
      std::replace(flag.begin(), flag.end(), '_', '-');
      throw UsageError(
          fmt::format("the ranks disagree: --{} is {} on rank 0 and {} on rank {}; start all with the "
                      "same options",
                      flag, value.dump(), other.value(key, nlohmann::json()).dump(), rank));
    }
  }
}

void CheckTransport(const TrainConfig& config, const CommandContext& context,
                    const std::optional<LaunchedRank>& launched) {
  if (config.transport == Transport::kGloo) return;
  if (!launched) {
    throw UsageError(
        "--transport is mpi, which is for workers that mpirun or srun has started, and no launcher's "
        "variables "
        "are set; leave it out");
  }
  if (!context.mpi) {
    throw UsageError(
        "--transport is mpi, and this swarmsync was built without MPI; give gloo, or build it where "
        "libopenmpi-dev or libmpich-dev is installed");
  }
}

}  // namespace swarmsync
