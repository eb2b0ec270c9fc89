// `swarmsync bench`: what an exchange, an update and a training step cost here, as JSON.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "base/first_line.h"
#include "bench/exchange.h"
#include "bench/train.h"
#include "bench/update.h"
#include "cli/commands.h"
#include "cli/flag_values.h"
#include "cli/library_logs.h"
#include "cli/parent.h"
#include "cli/train_flags.h"
#include "report/json_files.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/comm/thread_world.h"
#include "swarmsync/launch/environment.h"
#include "swarmsync/launch/supervisor.h"
#include "swarmsync/train/run_worker.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

void Print(const Json& result) { fmt::print("{}\n", result.dump(2)); }

// Starts this command as so many processes that are workers of one group. Returns what rank 0 found.
Json RunProcesses(const TrainConfig& config, const CommandContext& context) {
  const PrivateDirectory directory;
  const std::filesystem::path result = directory.path() / "result.json";
  const auto log = [&](int rank) { return directory.path() / fmt::format("{}.log", rank); };
  LocalPlan plan;
  plan.arguments = {std::filesystem::read_symlink("/proc/self/exe").string()};
  const std::vector<std::string>& given = context.given.arguments;
  plan.arguments.insert(plan.arguments.end(), given.begin(), given.end());
  plan.arguments.insert(plan.arguments.end(), {"--result", result.string()});
  plan.workers = static_cast<int>(config.workers);
  plan.threads_per_worker = static_cast<int>(config.threads_per_worker);
  plan.rendezvous_directory = directory.path();
  plan.log = log;
  SupervisorHooks hooks;
  hooks.on_status = [](int, std::string_view) { return std::nullopt; };
  hooks.failure_of = [&](int rank) {
    std::string text = ReadFile(log(rank));
    constexpr std::string_view kTool = "swarmsync: ";
    const std::size_t at = text.rfind(kTool);
    text = at == std::string::npos ? text : text.substr(at + kTool.size());
    return FirstLine(text);
  };
  Supervise(PlanLocalWorkers(plan), hooks);
  return Json::parse(ReadFile(result));
}

int BenchExchange(ExchangeBench bench, const std::string& result_file, const CommandContext& context) {
  DieWithParent();
  TrainConfig& config = bench.config;
  if (config.threads_per_worker == 0) config.threads_per_worker = 1;
  if (bench.parameters < 1)
    throw UsageError(fmt::format("--parameters is {}; it must be at least 1", bench.parameters));
  if (bench.repetitions < 1)
    throw UsageError(fmt::format("--repetitions is {}; it must be at least 1", bench.repetitions));
  const auto launched = DiscoverRank(GetEnvironment);
  if (launched) config.workers = launched->size;
  Validate(config);
  if (launched) {
    SilenceLibraryLogs();
    UseThreads(static_cast<int>(config.threads_per_worker));
    const auto comm = ConnectLaunched(config, context);
    const Json result = RunExchangeBench(bench, *comm);
    if (comm->rank() != 0) return 0;
    if (result_file.empty()) {
      Print(result);
    } else {
      WriteJson(result_file, result);
    }
    return 0;
  }
  CheckTransport(config, context, launched);
  if (config.backend == Backend::kProcesses) {
    Print(RunProcesses(config, context));
    return 0;
  }
  UseThreads(static_cast<int>(config.threads_per_worker));
  ThreadWorld world(static_cast<int>(config.workers), std::chrono::duration<double>(config.timeout));
  Json result;
  world.Run([&](int rank) {
    const auto comm = world.Connect(rank);
    const Json mine = RunExchangeBench(bench, *comm);
    if (rank == 0) result = mine;
  });
  Print(result);
  return 0;
}

void AddExchange(CLI::App& bench, const CommandContext& context, Action& run) {
  auto options = std::make_shared<ExchangeBench>();
  auto result_file = std::make_shared<std::string>();
  CLI::App* command = bench.add_subcommand("exchange", "What an exchange of a synchronizer takes");
  command->footer(
      "Example: swarmsync bench exchange --sync average --workers 4 --parameters 11173962\n"
      "Under torchrun, mpirun or srun (without --workers) this process is one worker of that job.");
  command->add_option("--parameters", options->parameters, "size of the model")
      ->capture_default_str()
      ->type_name("N");
  command->add_option("--repetitions", options->repetitions, "exchanges that are timed")
      ->capture_default_str()
      ->type_name("N");
  command->add_option("--result", *result_file)->group("");
  AddExchangeFlags(*command, options->config);
  NameValues(*command, context.models);
  command->callback([&run, &context, options, result_file] {
    run = [&context, options, result_file] { return BenchExchange(*options, *result_file, context); };
  });
}

void AddNumber(CLI::App& command, const char* flag, std::int64_t& member, const char* help,
               std::int64_t most) {
  command.add_option(flag, member, help)->capture_default_str()->check(CLI::Range(std::int64_t{1}, most));
}

void AddUpdate(CLI::App& bench, Action& run) {
  auto options = std::make_shared<UpdateBench>();
  CLI::App* command = bench.add_subcommand("update", "What the swarm's fused update takes");
  AddNumber(*command, "--parameters", options->parameters, "size of the model", 1'000'000'000);
  AddNumber(*command, "--repetitions", options->repetitions, "moves that are timed", 1'000'000);
  AddNumber(*command, "--threads", options->threads, "CPU threads", 1024);
  command->callback([&run, options] {
    run = [options] {
      Print(RunUpdateBench(*options));
      return 0;
    };
  });
}

void AddTrain(CLI::App& bench, const CommandContext& context, Action& run) {
  auto options = std::make_shared<TrainBench>();
  CLI::App* command =
      bench.add_subcommand("train", "One worker's training against a bare loop of libtorch's");
  command->add_option("--dataset", options->dataset, "as train takes it")->capture_default_str();
  command->add_option("--data-dir", options->data_dir, "where data sets are kept")->type_name("DIR");
  command->add_option("--model", options->model, "as train takes it")->capture_default_str();
  constexpr std::int64_t kMost = 1'000'000;
  AddNumber(*command, "--batch-size", options->batch_size, "samples in a mini-batch", kMost);
  AddNumber(*command, "--steps", options->steps, "steps of a training, at most an epoch", kMost);
  AddNumber(*command, "--repetitions", options->repetitions, "trainings of each kind", kMost);
  AddNumber(*command, "--threads", options->threads, "CPU threads", kMost);
  NameValues(*command, context.models);
  command->callback([&run, &context, options] {
    run = [&context, options] {
      Print(RunTrainBench(*options, context.models));
      return 0;
    };
  });
}

}  // namespace

void AddBenchCommand(CLI::App& tool, const CommandContext& context, Action& run) {
  CLI::App* command =
      tool.add_subcommand("bench", "Measure what an exchange, an update or a training step costs, as JSON");
  command->require_subcommand(1);
  AddExchange(*command, context, run);
  AddUpdate(*command, run);
  AddTrain(*command, context, run);
}

}  // namespace swarmsync
