#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "swarmsync/base/error.h"
#include "swarmsync/launch/membership.h"

namespace swarmsync {

// A worker process to start.
struct WorkerCommand {
  std::vector<std::string> arguments;                            // arguments[0]: the program's path
  std::vector<std::pair<std::string, std::string>> environment;  // added to this process's
  std::filesystem::path log;                                     // gets its standard output and error
};

// The workers of a run, all of them on this host.
struct LocalPlan {
  std::vector<std::string> arguments;          // of every worker; arguments[0]: the program's path
  int workers = 1;                             // how many to start
  int threads_per_worker = 1;                  // of OpenMP and OpenBLAS
  std::filesystem::path rendezvous_directory;  // that only this user can read; for this run alone
  bool survives = false;                       // the loss of workers (SupervisedWorld, in the same directory)
  std::function<std::filesystem::path(int rank)> log;  // WorkerCommand::log of each
  double started = 0;                                  // when the command began, for the workers' accounts
};
// The commands of these workers, by rank. They meet through a file in `rendezvous_directory`. Pure.
std::vector<WorkerCommand> PlanLocalWorkers(const LocalPlan& plan);

// The environment variable by which a worker hears of its supervisor: the number of the file descriptor that
// status lines go to.
constexpr const char* kStatusFdVariable = "SWARMSYNC_STATUS_FD";
constexpr const char* kStartedVariable = "SWARMSYNC_STARTED";  // likewise: LocalPlan::started
constexpr const char* kStoreVariable = "SWARMSYNC_STORE";      // likewise: the rendezvous file
constexpr const char* kWorldVariable = "SWARMSYNC_WORLD";      // likewise: SupervisedWorld's directory, or ""
constexpr const char* kJoinsVariable = "SWARMSYNC_JOINS";      // likewise: "1": the others train already

// What a worker told that waits for the next generation of the world.
struct WaitsForWorld {
  int generation;   // that it leaves; it waits for one behind it
  std::string why;  // what made it leave; "" from one that was started
};

// What the supervisor asks its caller, on the thread of Supervise().
struct SupervisorHooks {
  // A status line that a worker wrote; what it says of waiting, if anything. Throws nothing.
  std::function<std::optional<WaitsForWorld>(int worker, std::string_view line)> on_status;
  // What a worker said was wrong with it, "" when it said nothing; asked when one has failed.
  std::function<std::string(int worker)> failure_of;
};

// How a run goes on when workers are lost.
struct Survival {
  std::filesystem::path directory;  // SupervisedWorld's
  Membership::Rules rules;          // of which `workers` is the number of commands
};

// Starts the workers (index = worker) and waits until all have ended. When one fails, or this process gets
// SIGINT, SIGTERM or SIGHUP, the others are stopped: SIGTERM, and SIGKILL a second later. No worker is left
// when it returns, and none outlives this process, however it ends.
//
// With `survival`, a worker that is killed, ends as CommError does, or does not answer is lost, and the
// others go on as another generation of the world, which it joins again when it has been restarted; as long
// as there are enough of them. A worker that fails in another way, such as by bad data, still ends the run.
//
// Throws Error with a failed worker's exit code, and a line that names rank, pid, reason and log; among
// several failures it names the one that came first and was not itself the loss of another worker. Throws
// Interrupted. To be called from the main thread, once at a time, in a process that has no other threads.
void Supervise(const std::vector<WorkerCommand>& commands, const SupervisorHooks& hooks,
               const std::optional<Survival>& survival = std::nullopt);

}  // namespace swarmsync
