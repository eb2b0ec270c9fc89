#include "swarmsync/launch/environment.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

#include "launch/meeting_place.h"
#include "launch/slurm.h"
#include "launch/variables.h"
#include "swarmsync/base/error.h"
#include "swarmsync/comm/shared_memory.h"
#include "swarmsync/comm/thread_world.h"

namespace swarmsync {
namespace {

std::string Require(const EnvironmentLookup& lookup, const std::string& name, const std::string& because) {
  const auto value = lookup(name);
  if (!value || value->empty()) {
    throw UsageError(fmt::format("{} is set and {} is not; a launcher sets both", because, name));
  }
  return *value;
}

struct Variables {
  Launcher launcher;
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;
};
constexpr Variables kLaunchers[] = {
    {Launcher::kTorchrun, "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    {Launcher::kMpich, "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
    {Launcher::kOpenMpi, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {Launcher::kSlurm, "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", nullptr},
};
constexpr int kMost = 1'000'000;

// Whether the variables are those of ranks that this launcher has started.
bool HasStarted(const Variables& names, const EnvironmentLookup& lookup) {
  if (!lookup(names.rank)) return false;
  // srun, where it is asked to speak MPI's protocol, says more in variables of its own.
  if (names.launcher == Launcher::kMpich) return lookup("MPI_LOCALNRANKS") || !lookup("SLURM_MPI_TYPE");
  // A batch script, or a shell in an allocation, inherits rank 0 without being a step of srun's.
  if (names.launcher == Launcher::kSlurm) return IsStepOfSrun(lookup("SLURM_STEP_ID").value_or(""));
  return true;
}

// How many ranks are on this host; 0: not known.
int LocalSize(const Variables& names, const EnvironmentLookup& lookup) {
  if (names.launcher == Launcher::kSlurm) {
    const int node = ParseInteger("SLURM_NODEID", lookup("SLURM_NODEID").value_or("0"), 0, kMost);
    return TasksOnNode(lookup("SLURM_STEP_TASKS_PER_NODE").value_or(""), node).value_or(0);
  }
  const auto local_size = lookup(names.local_size);
  return local_size ? ParseInteger(names.local_size, *local_size, 1, kMost) : 0;
}

LaunchedRank RankBy(const Variables& names, const EnvironmentLookup& lookup) {
  LaunchedRank launched;
  launched.launcher = names.launcher;
  launched.variable = names.rank;
  launched.size = ParseInteger(names.size, Require(lookup, names.size, names.rank), 1, kMost);
  launched.rank = ParseInteger(names.rank, *lookup(names.rank), 0, launched.size - 1);
  launched.local_rank = ParseInteger(names.local_rank, lookup(names.local_rank).value_or("0"), 0, kMost);
  launched.local_size = LocalSize(names, lookup);
  if (launched.local_size > 0 && launched.local_rank >= launched.local_size) {
    throw UsageError(fmt::format("{} is {}, and there are {} ranks on this host; it must be less",
                                 names.local_rank, launched.local_rank, launched.local_size));
  }
  if (launched.local_size > launched.size) {
    throw UsageError(fmt::format("{} ranks are on this host, and {} is {}; it must not be less",
                                 launched.local_size, names.size, launched.size));
  }
  return launched;
}

}  // namespace

int ParseInteger(const std::string& name, const std::string& text, int least, int most) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    throw UsageError(fmt::format("the environment variable {} is '{}'; it must be a number from {} to {}",
                                 name, text, least, most));
  }
  return value;
}

std::optional<std::string> GetEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

std::optional<LaunchedRank> DiscoverRank(const EnvironmentLookup& lookup) {
  std::optional<LaunchedRank> first;
  for (const Variables& names : kLaunchers) {
    if (!HasStarted(names, lookup)) continue;
    if (!first) {
      first = RankBy(names, lookup);
      // torchrun numbers its ranks as they come, and may be what mpirun or srun has started once on each
      // host.
      if (lookup("TORCHELASTIC_RUN_ID")) return first;
    } else if (const auto size = lookup(names.size), rank = lookup(names.rank);
               size == std::to_string(first->size) && rank != std::to_string(first->rank)) {
      // Of another size it is the world in which one launcher has started another on each host.
      throw UsageError(fmt::format(
          "{} says that this process is rank {} of {}, and {} that it is rank {}; unset one of them",
          first->variable, first->rank, first->size, names.rank, *rank));
    }
  }
  return first;
}

std::unique_ptr<Communicator> ConnectFromEnvironment(const ConnectOptions& options) {
  const auto launched = DiscoverRank(GetEnvironment);
  if (!launched || launched->size == 1) return ThreadWorld(1, options.timeout).Connect(0);
  GlooOptions gloo;
  gloo.rank = launched->rank;
  gloo.size = launched->size;
  gloo.timeout = options.timeout;
  gloo.interface = GetEnvironment("GLOO_SOCKET_IFNAME").value_or("");
  gloo.one_host = launched->all_here();
  gloo.rendezvous = MeetingPlaceOf(*launched, GetEnvironment);
  return ThroughSharedMemory(ConnectGloo(gloo), options.timeout);
}

}  // namespace swarmsync
