#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "swarmsync/comm/communicator.h"

namespace swarmsync {

// Looks up an environment variable; nullopt when it is not set.
using EnvironmentLookup = std::function<std::optional<std::string>(const std::string& name)>;

// The process's own environment.
std::optional<std::string> GetEnvironment(const std::string& name);

// What has started this process as one of several ranks; told by its variables.
enum class Launcher {
  kTorchrun,  // and swarmsync's own workers, and whoever sets the variables by hand
  kMpich,     // Hydra: MPICH, Intel MPI
  kOpenMpi,   // its mpirun
  kSlurm,     // its srun
};

// The rank that a launcher gave to this process.
struct LaunchedRank {
  int rank = 0;        // in the world, 0 to size - 1
  int size = 1;        // of the world
  int local_rank = 0;  // among the ranks on this host; 0 too where the launcher does not say
  int local_size = 0;  // ranks on this host; 0: the launcher does not say
  Launcher launcher = Launcher::kTorchrun;  // whose variables these are
  std::string variable;                     // that has the rank, such as "RANK" or "OMPI_COMM_WORLD_RANK"

  // Whether all ranks are on this host, as far as it is known.
  bool all_here() const { return local_size == size; }
};

// Looks for the variables of, in this order: torchrun and swarmsync's own workers (RANK, WORLD_SIZE,
// LOCAL_RANK), MPICH (PMI_RANK, …), Open MPI (OMPI_COMM_WORLD_RANK, …), Slurm (SLURM_PROCID, …; only inside
// srun). nullopt: no launcher. Throws UsageError when they are incomplete, make no sense, or when two of
// them number the ranks of a world of the same size in two ways. Pure.
std::optional<LaunchedRank> DiscoverRank(const EnvironmentLookup& lookup);

// How ConnectFromEnvironment() connects.
struct ConnectOptions {
  std::chrono::duration<double> timeout = std::chrono::seconds(60);  // of the meeting and of every collective
};

// The environment variable that has the secret by which the ranks of a job know each other.
constexpr const char* kTokenVariable = "SWARMSYNC_TOKEN";

// The group that this process was launched into; a world of one when no launcher is seen. The ranks meet at
// MASTER_ADDR:MASTER_PORT, where rank 0 serves a store that asks for SWARMSYNC_TOKEN (or torchrun's agent
// serves its own, which asks for none, if TORCHELASTIC_USE_AGENT_STORE says so). Where these are not set,
// ranks of mpirun or srun that are all on one host meet in a file, and those of srun on several hosts at the
// first of them (docs/launchers.md). GLOO_SOCKET_IFNAME names the network interface; ranks on several hosts
// must have one, and a token. Ranks that are all on one host talk through memory that they share
// (comm/shared_memory.h). Collective. Throws UsageError for bad variables, CommError when the ranks do not
// meet in time.
std::unique_ptr<Communicator> ConnectFromEnvironment(const ConnectOptions& options = {});

}  // namespace swarmsync
