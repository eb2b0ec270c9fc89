#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "swarmsync/cli/command_line.h"
#include "swarmsync/launch/environment.h"
#include "swarmsync/model/registry.h"
#include "swarmsync/train/config.h"

namespace CLI {
class App;
}

namespace swarmsync {

// What all commands share.
struct CommandContext {
  const ModelRegistry& models;
  const Connector& mpi;  // null: there is none
  double started = 0;    // MonotonicSeconds() when the program began
  GivenArguments given;  // as they were parsed
};

// Each adds one command to the tool: its flags, its help, and what to do when it is called. `run` receives
// the action of the command that was called; it returns the exit code.
using Action = std::function<int()>;
void AddTrainCommand(CLI::App& tool, const CommandContext& context, Action& run);
void AddWorkerCommand(CLI::App& tool, const CommandContext& context, Action& run);  // not for people
void AddCompareCommand(CLI::App& tool, const CommandContext& context, Action& run);
void AddEvaluateCommand(CLI::App& tool, const CommandContext& context, Action& run);
void AddExportCommand(CLI::App& tool, const CommandContext& context, Action& run);
void AddDataCommand(CLI::App& tool, const CommandContext& context, Action& run);
void AddBenchCommand(CLI::App& tool, const CommandContext& context, Action& run);
void AddInfoCommand(CLI::App& tool, const CommandContext& context, Action& run);
void AddCompletionCommand(CLI::App& tool, const CommandContext& context, Action& run);
void AddManCommand(CLI::App& tool, const CommandContext& context, Action& run);

// Connects the ranks of a launched job as the configuration says. Throws UsageError, CommError.
std::unique_ptr<Communicator> ConnectLaunched(const TrainConfig& config, const CommandContext& context);

// Collective. Throws UsageError on every rank where they were started with different options.
void CheckRanksAgree(const TrainConfig& config, Communicator& comm);

// Throws UsageError for a transport that is not built in, or that is for the ranks of a launched job alone
// where this process is none.
void CheckTransport(const TrainConfig& config, const CommandContext& context,
                    const std::optional<LaunchedRank>& launched);

}  // namespace swarmsync
