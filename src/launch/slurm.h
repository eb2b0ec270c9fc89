#pragma once

#include <cstdint>
#include <optional>
#include <string>

// What Slurm's variables say, as srun(1) describes them. All of it is pure.
namespace swarmsync {

// Whether SLURM_STEP_ID is that of a step which srun has started. Batch scripts and interactive shells have
// none, or one of those that Slurm keeps for itself.
bool IsStepOfSrun(const std::string& step_id);

// The first host of a list such as "rack[01-04,7]node2,login": "rack01node2". "" for an empty list.
std::string FirstHostOf(const std::string& nodes);

// Of a list of numbers by node, such as "4(x3),2" (4, 4, 4, 2), that of one node; nullopt where it has none.
std::optional<int> TasksOnNode(const std::string& tasks_per_node, int node);

// A port for a step of a job: the same for all of its ranks, seldom that of another step, and none that the
// system gives to whoever asks for any.
int PortOfStep(std::uint64_t job, std::uint64_t step);

}  // namespace swarmsync
