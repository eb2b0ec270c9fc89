#pragma once

#include <array>
#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace swarmsync {

// What --help and the manual pages say beside the flags: a name and its meaning.
struct Fact {
  std::string_view name, meaning;
};

inline constexpr std::array<Fact, 6> kExitCodes{{
    {"0", "done"},
    {"1", "the run failed"},
    {"2", "usage"},
    {"3", "bad data or model file"},
    {"4", "communication"},
    {"128+signal", "when stopped by one"},
}};

inline constexpr std::array<Fact, 15> kEnvironment{{
    {"SWARMSYNC_DATA_DIR", "where data sets are kept, unless --data-dir says so"},
    {"XDG_DATA_HOME", "without that, they are in swarmsync under this directory; by default ~/.local/share"},
    {"SWARMSYNC_RUNS_DIR", "where a training without --out makes its new directory; by default runs"},
    {"SWARMSYNC_CONFIG", "the file of a training without --config"},
    {"RANK",
     "with WORLD_SIZE: this process is one worker of a job, as torchrun sets them; those of MPICH, "
     "Open MPI and Slurm are known too"},
    {"WORLD_SIZE", "how many workers the job has"},
    {"LOCAL_RANK", "which of its host's workers this is"},
    {"LOCAL_WORLD_SIZE", "how many its host has"},
    {"MASTER_ADDR", "with MASTER_PORT: where the ranks meet"},
    {"MASTER_PORT", "the port there"},
    {"SWARMSYNC_TOKEN", "the job's secret, of 16 characters or more, which ranks on several hosts need"},
    {"GLOO_SOCKET_IFNAME", "the network interface that a rank talks through"},
    {"SWARMSYNC_SHM_DISABLE", "1: processes of one host talk through Gloo, not through shared memory"},
    {"SWARMSYNC_FAULTS", "what goes wrong on purpose, in tests"},
    {"NO_COLOR", "not empty: nothing is coloured, not on a terminal either"},
}};

// The files of a run, in --out.
inline constexpr std::array<Fact, 11> kRunFiles{{
    {"config.json", "the full effective configuration"},
    {"workers.json", "rank, process, host and device of each worker"},
    {"metrics.jsonl", "losses, exchanges and epochs, a JSON object a line"},
    {"model.safetensors", "the final model"},
    {"summary.json", "the results"},
    {"report.html", "the same as a page with charts"},
    {"model.pt", "the final model with its code, where it came from TorchScript"},
    {"events.out.tfevents.*", "losses, accuracies and exchanges for TensorBoard"},
    {"trace.json", "what each worker did when (--trace)"},
    {"checkpoint/", "the last two checkpoints"},
    {"logs/", "what the worker processes printed"},
}};

// The manual page of a command, or of the tool, in the man macros of roff. Made from the tree of commands and
// the facts above. Pure.
std::string ManualPage(const CLI::App& command);

}  // namespace swarmsync
