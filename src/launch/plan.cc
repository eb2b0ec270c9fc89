#include <fmt/format.h>

#include "swarmsync/launch/supervisor.h"

namespace swarmsync {

std::vector<WorkerCommand> PlanLocalWorkers(const LocalPlan& plan) {
  std::vector<WorkerCommand> commands;
  const std::string threads = std::to_string(plan.threads_per_worker);
  for (int rank = 0; rank < plan.workers; ++rank) {
    commands.push_back({plan.arguments,
                        {{"RANK", std::to_string(rank)},
                         {"WORLD_SIZE", std::to_string(plan.workers)},
                         {"LOCAL_RANK", std::to_string(rank)},
                         {kStoreVariable, (plan.rendezvous_directory / "store").string()},
                         {kWorldVariable, plan.survives ? plan.rendezvous_directory.string() : ""},
                         {kStartedVariable, fmt::format("{}", plan.started)},
                         {"OMP_NUM_THREADS", threads},
                         {"OPENBLAS_NUM_THREADS", threads}},
                        plan.log(rank)});
  }
  return commands;
}

}  // namespace swarmsync
