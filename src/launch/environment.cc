#include "swarmsync/launch/environment.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

#include "swarmsync/base/error.h"
#include "swarmsync/comm/gloo.h"
#include "swarmsync/comm/shared_memory.h"
#include "swarmsync/comm/thread_world.h"
#include "swarmsync/launch/supervisor.h"

namespace swarmsync {
namespace {

int ParseInteger(const std::string& name, const std::string& text, int least, int most) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    throw UsageError(fmt::format("the environment variable {} is '{}'; it must be a number from {} to {}",
                                 name, text, least, most));
  }
  return value;
}

std::string Require(const EnvironmentLookup& lookup, const std::string& name, const std::string& because) {
  const auto value = lookup(name);
  if (!value || value->empty()) {
    throw UsageError(fmt::format("{} is set and {} is not; a launcher sets both", because, name));
  }
  return *value;
}

struct Launcher {
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;
};
constexpr Launcher kLaunchers[] = {
    {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"},
};

// A batch script under Slurm inherits rank 0 without being a step: nobody launched it as a rank.
bool IsSlurmBatchScript(const Launcher& launcher, const EnvironmentLookup& lookup) {
  return std::string(launcher.rank) == "SLURM_PROCID" && !lookup("SLURM_STEP_ID");
}

Rendezvous MasterFromEnvironment(const LaunchedRank& launched) {
  if (!GetEnvironment("MASTER_ADDR") || !GetEnvironment("MASTER_PORT")) {
    throw UsageError(
        fmt::format("{} is set, so this process is rank {} of {}, and MASTER_ADDR and MASTER_PORT do not "
                    "say where the ranks meet; set both, the same for all ranks",
                    launched.launcher, launched.rank, launched.size));
  }
  const std::string host = *GetEnvironment("MASTER_ADDR");
  const int port = ParseInteger("MASTER_PORT", *GetEnvironment("MASTER_PORT"), 1, 65535);
  if (GetEnvironment("TORCHELASTIC_USE_AGENT_STORE") != "True")
    return TokenRendezvous{host, port, GetEnvironment(kTokenVariable).value_or("")};
  // A store that outlives a restart must not show the ranks of before.
  return TcpRendezvous{host, port, "swarmsync/" + GetEnvironment("TORCHELASTIC_RESTART_COUNT").value_or("0")};
}

}  // namespace

std::optional<std::string> GetEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

std::optional<LaunchedRank> DiscoverRank(const EnvironmentLookup& lookup) {
  constexpr int kMost = 1'000'000;
  for (const Launcher& launcher : kLaunchers) {
    const auto rank = lookup(launcher.rank);
    if (!rank || IsSlurmBatchScript(launcher, lookup)) continue;
    LaunchedRank launched;
    launched.launcher = launcher.rank;
    launched.size = ParseInteger(launcher.size, Require(lookup, launcher.size, launcher.rank), 1, kMost);
    launched.rank = ParseInteger(launcher.rank, *rank, 0, launched.size - 1);
    launched.local_rank =
        ParseInteger(launcher.local_rank, lookup(launcher.local_rank).value_or("0"), 0, kMost);
    launched.all_here = lookup(launcher.local_size) == std::to_string(launched.size);
    return launched;
  }
  return std::nullopt;
}

std::unique_ptr<Communicator> ConnectFromEnvironment(const ConnectOptions& options) {
  const auto launched = DiscoverRank(GetEnvironment);
  if (!launched || launched->size == 1) return ThreadWorld(1, options.timeout).Connect(0);
  GlooOptions gloo;
  gloo.rank = launched->rank;
  gloo.size = launched->size;
  gloo.timeout = options.timeout;
  gloo.interface = GetEnvironment("GLOO_SOCKET_IFNAME").value_or("");
  gloo.one_host = launched->all_here;
  if (const auto store = GetEnvironment(kStoreVariable)) {
    gloo.rendezvous = FileRendezvous{*store};
  } else {
    gloo.rendezvous = MasterFromEnvironment(*launched);
  }
  return ThroughSharedMemory(ConnectGloo(gloo), options.timeout);
}

}  // namespace swarmsync
