#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <CLI/CLI.hpp>
#include <thread>

#include "cli/blas.h"
#include "cli/commands.h"
#include "swarmsync/sync/synchronizer.h"
#include "train/device.h"

namespace swarmsync {
namespace {

int PrintInfo(const CommandContext& context) {
  const auto line = [](const char* what, const std::string& value) {
    fmt::print("{:<15} {}\n", what, value);
  };
  line("swarmsync", SWARMSYNC_VERSION);
  line("libtorch", TORCH_VERSION);
  line("compiler", __VERSION__);
  std::string devices = "cpu";
  for (int gpu = 0; gpu < CountGpus(); ++gpu) devices += fmt::format(", cuda:{} ({})", gpu, DescribeGpu(gpu));
  line("devices", devices);
  line("backends", "processes (Gloo; NCCL between GPUs, where libtorch has it), threads");
  line("transports", context.mpi ? "gloo, mpi" : "gloo");
  line("synchronizers", fmt::format("{}", fmt::join(SynchronizerNames(), ", ")));
  line("models", fmt::format("{}", fmt::join(context.models.names(), ", ")));
  line("blas", BlasLibrary());
  line("cores", std::to_string(std::thread::hardware_concurrency()));
  line("threads", fmt::format("{} unless --threads-per-worker says otherwise", at::get_num_threads()));
  if (const std::string warning = BlasWarning(); !warning.empty()) line("warning", warning);
  return 0;
}

}  // namespace

void AddInfoCommand(CLI::App& tool, const CommandContext& context, Action& run) {
  CLI::App* command = tool.add_subcommand("info", "Versions, devices, backends, BLAS, threads");
  command->callback([&run, &context] { run = [&context] { return PrintInfo(context); }; });
}

}  // namespace swarmsync
