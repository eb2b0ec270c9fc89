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

// The rank that a launcher gave to this process.
struct LaunchedRank {
  int rank = 0;
  int size = 1;
  int local_rank = 0;
  std::string launcher;  // which variables said so, such as "RANK" or "OMPI_COMM_WORLD_RANK"
};

// Looks for the variables of, in this order: torchrun and swarmsync's own workers (RANK, WORLD_SIZE,
// LOCAL_RANK), MPICH (PMI_RANK, …), OpenMPI (OMPI_COMM_WORLD_RANK, …), Slurm (SLURM_PROCID, …; only inside
// srun). nullopt: no launcher. Throws UsageError when they are incomplete or make no sense. Pure.
std::optional<LaunchedRank> DiscoverRank(const EnvironmentLookup& lookup);

struct ConnectOptions {
  std::chrono::duration<double> timeout = std::chrono::seconds(60);
};

// The group that this process was launched into; a world of one when no launcher is seen. The ranks meet at
// MASTER_ADDR:MASTER_PORT (where torchrun's agent hosts the store, if TORCHELASTIC_USE_AGENT_STORE says so,
// else rank 0), or, started by swarmsync, through the file SWARMSYNC_STORE. GLOO_SOCKET_IFNAME names the
// network interface. Ranks that are all on one host talk through memory that they share
// (comm/shared_memory.h). Collective. Throws UsageError for bad variables, CommError when the ranks do not
// meet in time.
std::unique_ptr<Communicator> ConnectFromEnvironment(const ConnectOptions& options = {});

}  // namespace swarmsync
