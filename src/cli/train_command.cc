// `swarmsync train`: flags to TrainConfig; then one of three ways to run its workers. Under a launcher this
// process is one of them; else it starts them, as processes that it supervises or as threads.

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <thread>
#include <type_traits>

#include "base/numbers.h"
#include "base/print.h"
#include "cli/blas.h"
#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/dry_run.h"
#include "cli/flag_values.h"
#include "cli/library_logs.h"
#include "cli/line_of.h"
#include "cli/parent.h"
#include "cli/resumed_config.h"
#include "cli/stop_signals.h"
#include "cli/train_flags.h"
#include "comm/faults.h"
#include "model/torchscript.h"
#include "report/run_report.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/comm/gloo.h"
#include "swarmsync/comm/thread_world.h"
#include "swarmsync/launch/environment.h"
#include "swarmsync/launch/supervised_world.h"
#include "swarmsync/launch/supervisor.h"
#include "swarmsync/report/run_files.h"
#include "swarmsync/train/run_worker.h"
#include "train/device.h"

namespace swarmsync {
namespace {

constexpr const char* kRunsVariable = "SWARMSYNC_RUNS_DIR";

std::string NewRunDirectory(const TrainConfig& config) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  const std::string runs = GetEnvironment(kRunsVariable).value_or("");
  const std::string base =
      fmt::format("{}/{:%Y%m%d-%H%M%S}-{}", runs.empty() ? "runs" : runs, local, config.sync);
  std::string name = base;
  for (int number = 2; std::filesystem::exists(name); ++number) name = fmt::format("{}-{}", base, number);
  return name;
}

// Whether weights are averaged within groups.
bool HasGroupPeriod(const TrainConfig& config) { return config.group_size > 1 && config.sync != "ssgd"; }

// Whether the run can go on without a worker that is lost, where local workers are processes.
bool Survives(const TrainConfig& config) {
  return config.backend == Backend::kProcesses && config.device == "cpu" && config.group_size == 1;
}

struct WorkersOfRun {
  int all;
  int here;       // on this host
  bool survived;  // whether the run goes on without one that is lost
  std::optional<Launcher> launcher = std::nullopt;
};

// The cores of one of the workers: its share of those that this process may use, or those that its launcher
// has bound it to, as mpirun does.
int CoresOf(const WorkersOfRun& workers) {
  if (workers.launcher == Launcher::kSlurm) {
    if (const auto cores = ParseNumber(GetEnvironment("SLURM_CPUS_PER_TASK").value_or(""));
        cores && *cores >= 1)
      return static_cast<int>(*cores);
  }
  const auto all = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t set;
  const int usable = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : all;
  const bool mpi = workers.launcher == Launcher::kOpenMpi || workers.launcher == Launcher::kMpich;
  return mpi && usable < all ? usable : std::max(1, usable / workers.here);
}

// Fills in what the user left open, but for the device, and validates.
TrainConfig Complete(TrainConfig config, const WorkersOfRun& workers) {
  config.workers = workers.all;
  if (config.epochs == 0 && config.steps == 0) config.epochs = kDefaultEpochs;
  if (config.out.empty()) config.out = NewRunDirectory(config);
  config.out = AbsoluteDirectory(config.out);
  if (!config.init.empty()) config.init = std::filesystem::absolute(config.init).lexically_normal().string();
  // Whoever loads the saved model looks for its code there.
  const std::string prefix(kTorchScriptPrefix);
  if (config.model.rfind(prefix, 0) == 0 && config.model != prefix) {
    const std::filesystem::path file = config.model.substr(prefix.size());
    config.model = prefix + std::filesystem::absolute(file).lexically_normal().string();
  }
  if (config.min_workers > 0 && config.min_workers < workers.all && !workers.survived) {
    throw UsageError(
        fmt::format("--min-workers is {}, and only local processes on the CPU, without groups, go on without "
                    "a lost worker; leave "
                    "it out",
                    config.min_workers));
  }
  if (config.threads_per_worker == 0) {
    config.threads_per_worker = CoresOf(workers);
  }
  Validate(config);
  const SyncOptions sync = WithDefaults(config.sync, SyncOptionsOf(config));
  config.swarm = sync.swarm;
  config.peers = sync.peers;
  config.final_average = sync.final_average;
  if (HasGroupPeriod(config)) config.group_period = sync.group_period;
  return config;
}

// The device of one rank of a launched job: a GPU where all ranks have one of their own, and the CPU
// otherwise, if that may be. Leaves in config.device what it is. Collective: all ranks throw the same
// UsageError, or none.
at::Device DeviceOfLaunched(TrainConfig& config, Communicator& comm, int local_rank) {
  if (config.device == "cpu") return at::kCPU;
  const std::optional<int> gpu = GpuOfRank(config.device, local_rank, CountGpus());
  std::string why_not = WhyNotOnGpus(comm.AllGather(gpu ? IdentityOfGpu(*gpu) : ""));
  if (why_not.empty() && comm.size() > 1 && config.transport == Transport::kGloo && !NcclIsBuiltIn())
    why_not = "this swarmsync was built without NCCL";
  if (!why_not.empty() && config.device != "auto")
    throw UsageError(fmt::format("--device is {}, and {}; give auto or cpu", config.device, why_not));
  config.device = why_not.empty() ? "cuda" : "cpu";
  if (!why_not.empty() && CountGpus() > 0 && comm.rank() == 0 && !config.quiet)
    SayWarning(fmt::format("training on the CPU, as {}", why_not));
  return why_not.empty() ? at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(*gpu)) : at::kCPU;
}

// What there may be in --out.
Existing ExistingIn(const TrainConfig& config) {
  if (config.resume == config.out) return Existing::kContinue;
  return config.overwrite ? Existing::kOverwrite : Existing::kRefuse;
}

// Whether a value, behind its prefix, names that file, be it by another path.
bool IsFileOf(const std::string& value, std::string_view prefix, const std::filesystem::path& file) {
  std::error_code none;
  return value.rfind(prefix, 0) == 0 && std::filesystem::equivalent(value.substr(prefix.size()), file, none);
}

// All that is checked before a run begins. Returns the data.
Dataset CheckAll(const TrainConfig& config, const ModelRegistry& models) {
  CheckedRun checked = CheckRun(config, models, static_cast<int>(config.workers));
  for (const std::string& warning : checked.warnings) {
    if (!config.quiet) SayWarning(warning);
  }
  const RunFiles files{config.out};
  for (const auto& file : {files.script(), files.model()}) {
    if (config.overwrite &&
        (IsFileOf(config.model, kTorchScriptPrefix, file) || IsFileOf(config.init, "", file))) {
      throw UsageError(
          fmt::format("--overwrite would remove the model, {}; give another --out", file.string()));
    }
  }
  CheckRunDirectory(files, ExistingIn(config));
  return std::move(checked.data);
}

// Checks the run and makes its directory. Returns the data.
Dataset PrepareRun(const TrainConfig& config, const ModelRegistry& models) {
  Dataset data = CheckAll(config, models);
  const RunFiles files{config.out};
  const bool in_place = config.resume == config.out;
  PrepareRunDirectory(files, ExistingIn(config));
  const RunFiles before{config.resume};
  if (!config.resume.empty() && !in_place) {
    if (std::filesystem::exists(before.metrics()))
      std::filesystem::copy_file(before.metrics(), files.metrics());
    for (const auto& file : before.events())
      std::filesystem::copy_file(file, files.directory / file.filename());
  }
  // Who looks for results shall find those of this run.
  if (in_place) {
    for (const auto& file : {files.summary(), files.report(), files.trace()}) std::filesystem::remove(file);
    std::filesystem::remove_all(files.trace_parts());
  }
  WriteFileAtomically(files.config(), ToJsonText(config));
  return data;
}

// Flags that were given other values than those that they have anyway, and belong to other synchronizers.
std::vector<std::string> FlagsWithoutEffect(const TrainConfig& config, const TrainConfig& given,
                                            const CLI::App& command) {
  const auto values = nlohmann::json::parse(ToJsonText(given));
  const auto defaults = nlohmann::json::parse(ToJsonText(TrainConfig()));
  const auto is_default = [&](std::string key) {
    std::replace(key.begin(), key.end(), '-', '_');
    return values.at(key) == defaults.at(key);
  };
  const std::vector<std::string> own = OptionsOf(config.sync);
  std::set<std::string> without_effect;
  for (const std::string& name : SynchronizerNames()) {
    for (const std::string& option : OptionsOf(name)) {
      if (std::find(own.begin(), own.end(), option) == own.end() &&
          !(option == "fitness" && config.buffers == BuffersAtSync::kGuide) &&
          command.get_option("--" + option)->count() > 0 && !is_default(option)) {
        without_effect.insert("--" + option);
      }
    }
  }
  return {without_effect.begin(), without_effect.end()};
}

// given: what the user asked for, of which `config` is made.
void Warn(const TrainConfig& config, const TrainConfig& given, const CLI::App& command) {
  if (config.quiet) return;
  if (const int gpus = CountGpus(); given.device == "auto" && config.device == "cpu" && gpus > 0) {
    SayWarning(fmt::format(
        "training on the CPU, as --backend processes needs a GPU for each of {} workers and {} {} "
        "here; with --backend threads they would share one",
        config.workers, gpus, gpus == 1 ? "is" : "are"));
  }
  for (const std::string& warning : Warnings(config.swarm)) SayWarning(warning);
  if (given.group_period > 0 && !HasGroupPeriod(config)) {
    SayWarning(
        fmt::format("--group-period does nothing with {}",
                    config.group_size > 1 ? "--sync ssgd" : "groups of one worker; give a --group-size"));
  }
  for (const std::string& flag : FlagsWithoutEffect(config, given, command))
    SayWarning(fmt::format("{} does nothing with --sync {}", flag, config.sync));
  if (const std::string warning = BlasWarning(); !warning.empty()) SayWarning(warning);
}

void PrintPlan(const TrainConfig& config) {
  if (config.quiet) return;
  fmt::print("training {} on {} with {}, {} {}{} of {} thread{}{}{}\n", config.model, config.dataset,
             config.sync, config.workers, config.backend == Backend::kProcesses ? "process" : "thread",
             config.workers == 1 ? "" : (config.backend == Backend::kProcesses ? "es" : "s"),
             config.threads_per_worker, config.threads_per_worker == 1 ? "" : "s",
             config.device == "cpu" ? "" : ", on " + config.device,
             config.link.emulated() ? ", over an emulated link of " + ToString(config.link) : "");
  std::fflush(stdout);
}

void PrintSummary(const TrainConfig& config) {
  if (config.quiet) return;
  const RunFiles files{config.out};
  const auto s = nlohmann::json::parse(ReadFile(files.summary()));
  const auto number = [&](const char* key) {
    return s.at(key).is_null() ? std::numeric_limits<double>::quiet_NaN() : s.at(key).get<double>();
  };
  const double wall = number("wall_seconds");
  fmt::print("test accuracy {:.4f}, test loss {:.4f} ({})\n", number("test_accuracy"), number("test_loss"),
             s.at("final_model").get<std::string>());
  fmt::print("{} steps a worker, {} exchanges, {:.1f} MB sent by each worker, {:.0f} samples/s\n",
             s.at("steps").get<std::int64_t>(), s.at("rounds").get<std::int64_t>(),
             number("bytes_sent_per_worker") / 1e6, number("samples_per_second"));
  fmt::print("{:.1f} s:", wall);
  for (const char* part : {"setup", "data", "compute", "sync", "wait", "evaluate", "checkpoint"}) {
    fmt::print(" {} {:.1f} %", part, 100 * number(fmt::format("{}_seconds", part).c_str()) / wall);
  }
  if (config.link.emulated())
    fmt::print("\nwith exchanges as long as on a link of {}, which was emulated", ToString(config.link));
  fmt::print("\nresults are in {}\n", config.out);
}

void Conclude(const TrainConfig& config) {
  WriteRunReport(RunFiles{config.out});
  PrintSummary(config);
}

// Shows what ranks tell. Any thread.
class StatusPrinter {
 public:
  explicit StatusPrinter(const TrainConfig& config)
      : printer_(stderr, config.quiet ? ProgressStyle::kNone : config.progress) {}
  ~StatusPrinter() { printer_.Finish(); }

  void Show(const Status& status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const auto* progress = std::get_if<Progress>(&status)) printer_.Show(*progress);
    if (const auto* note = std::get_if<StatusNote>(&status)) printer_.Note(note->line);
  }

 private:
  std::mutex mutex_;
  ProgressPrinter printer_;
};

void RunProcesses(const TrainConfig& config, double started) {
  const RunFiles files{config.out};
  const PrivateDirectory rendezvous;
  LocalPlan plan;
  plan.arguments = {std::filesystem::read_symlink("/proc/self/exe").string(), "worker",
                    files.config().string()};
  plan.workers = static_cast<int>(config.workers);
  plan.threads_per_worker = static_cast<int>(config.threads_per_worker);
  plan.rendezvous_directory = rendezvous.path();
  plan.log = [&](int rank) { return files.worker_log(rank); };
  plan.started = started;
  const auto least = static_cast<int>(config.min_workers > 0 ? config.min_workers
                                      : Survives(config)     ? 1
                                                             : config.workers);
  plan.survives = least < config.workers;

  StatusPrinter printer(config);
  std::map<int, std::string> failures;
  SupervisorHooks hooks;
  hooks.on_status = [&](int rank, std::string_view line) {
    const Status status = DecodeStatus(line);
    if (const auto* failure = std::get_if<StatusFailure>(&status)) failures[rank] = failure->message;
    printer.Show(status);
    std::optional<WaitsForWorld> waits;
    if (const auto* waiting = std::get_if<StatusWaiting>(&status))
      waits = {waiting->generation, waiting->why};
    return waits;
  };
  hooks.failure_of = [&](int rank) { return failures[rank]; };
  std::optional<Survival> survival;
  if (plan.survives) {
    survival = Survival{rendezvous.path(),
                        {plan.workers, least, static_cast<int>(config.max_restarts), config.timeout}};
  }
  Supervise(PlanLocalWorkers(plan), hooks, survival);
}

// Those that SWARMSYNC_FAULTS wants. Each happens in a worker's first life only.
std::vector<Fault> FaultsFromEnvironment() {
  if (GetEnvironment(kJoinsVariable) == "1" ||
      GetEnvironment("TORCHELASTIC_RESTART_COUNT").value_or("0") != "0")
    return {};
  return ParseFaults(GetEnvironment(kFaultsVariable).value_or(""));
}

void RunThreads(const TrainConfig& config, const ModelRegistry& models, double started, const Dataset& data) {
  const StopSignals signals;
  ThreadWorld world(static_cast<int>(config.workers), std::chrono::duration<double>(config.timeout));
  StatusPrinter printer(config);
  const at::Device device = DeviceOfWorker(config.device, PlaceOfLocal(config), 0);
  const std::vector<Fault> all_faults = FaultsFromEnvironment();
  std::deque<Faults> faults;
  for (int rank = 0; rank < config.workers; ++rank) faults.emplace_back(all_faults, rank);
  world.Run([&](int rank) {
    const auto comm = faults[static_cast<std::size_t>(rank)].In(world.Connect(rank));
    RunWorker(config, {*comm, models, started, [&](const Status& status) { printer.Show(status); },
                       StopSignals::Check, data, device, /*commits=*/true});
  });
}

// One rank of a job that a launcher started. Rank 0 prepares the run; the others hear whether it could.
void RunLaunched(TrainConfig config, const CommandContext& context, const LaunchedRank& launched) {
  SilenceLibraryLogs();
  Faults faults(FaultsFromEnvironment(), launched.rank);
  const auto comm = faults.In(ConnectLaunched(config, context));
  CheckRanksAgree(config, *comm);
  const at::Device device = DeviceOfLaunched(config, *comm, launched.local_rank);
  const StopSignals signals;
  std::string failure;
  std::exception_ptr failed;
  if (comm->rank() == 0) {
    try {
      PrepareRun(config, context.models);
    } catch (const std::exception& error) {
      failure = error.what();
      failed = std::current_exception();
    }
  }
  failure = comm->AllGather(failure)[0];
  if (failed) std::rethrow_exception(failed);
  if (!failure.empty()) throw CommError("rank 0 could not begin: " + failure);

  StatusPrinter printer(config);
  try {
    RunWorker(config,
              {*comm, context.models, context.started, [&](const Status& status) { printer.Show(status); },
               StopSignals::Check, std::nullopt, device});
  } catch (const CommError&) {
    StopSignals::Check();  // the signal that ended the other ranks has come here too
    throw;
  }
}

// What `train` is to do instead of training.
struct Instead {
  bool print_config = false;
  bool dry_run = false;
  bool any() const { return print_config || dry_run; }
};

void RequireLaunchedFlags(const CLI::App& command, const TrainConfig& given, const GivenArguments& arguments,
                          const LaunchedRank& launched) {
  // A file that --print-config wrote for the same job says how many there are.
  const bool same_in_file = arguments.places.count("--workers") > 0 && given.workers == launched.size;
  if (command.get_option("--workers")->count() > 0 && !same_in_file) {
    throw UsageError(
        fmt::format("--workers starts local workers, and {} says that a launcher has started this "
                    "process as rank {} of {}; leave --workers out",
                    launched.variable, launched.rank, launched.size));
  }
  if (launched.size > 1 && given.out.empty()) {
    throw UsageError(
        "--out is needed under a launcher, where every rank must have the same; give a directory that "
        "all of them see");
  }
}

int Train(const CLI::App& command, TrainConfig given, const Instead& instead, const CommandContext& context) {
  DieWithParent();
  RefuseZero(command);
  FaultsFromEnvironment();  // what is wrong with them is said before anything begins
  if (!given.resume.empty()) given = ResumedConfig(given, command);
  const auto launched = DiscoverRank(GetEnvironment);
  if (launched) RequireLaunchedFlags(command, given, context.given, *launched);
  const int here = launched && launched->local_size > 0
                       ? launched->local_size
                       : static_cast<int>(launched ? launched->size : given.workers);
  if (launched && !instead.any()) {
    const TrainConfig config = Complete(given, {launched->size, here, false, launched->launcher});
    if (launched->rank == 0) Warn(config, given, command);
    RunLaunched(config, context, *launched);
    if (launched->rank == 0) Conclude(config);
    return 0;
  }
  if (launched) given.workers = launched->size;
  Validate(given);
  TrainConfig on_device = given;
  on_device.workers = here;  // each process with a GPU of its own
  on_device.device = DeviceOfLocal(on_device);
  const TrainConfig config =
      Complete(on_device, {static_cast<int>(given.workers), here, !launched && Survives(on_device)});
  if (launched && launched->rank > 0) return 0;  // rank 0 tells it
  if (instead.print_config) {
    PrintText(stdout, WriteConfigFile(given, config, FlagsWithoutZero()));
    return 0;
  }
  Warn(config, given, command);
  if (instead.dry_run) {
    CheckTransport(config, context, launched);
    const Dataset data = CheckAll(config, context.models);
    const std::int64_t program = ResidentBytes();
    UseThreads(static_cast<int>(config.threads_per_worker));
    const RunPlan plan = PlanRun(config, context.models, data, /*commits=*/!launched);
    PrintText(stdout, DescribePlan(config, plan, program));
    return 0;
  }
  CheckTransport(config, context, launched);
  std::optional<Dataset> data;
  {
    const StopSignals signals;  // a file that is being written is finished first
    data = PrepareRun(config, context.models);
    StopSignals::Check();
  }
  PrintPlan(config);
  try {
    if (config.backend == Backend::kThreads) {
      RunThreads(config, context.models, context.started, *data);
    } else {
      data.reset();  // each process opens its own
      RunProcesses(config, context.started);
    }
  } catch (...) {
    RemoveUnfinished(RunFiles{config.out});
    throw;
  }
  Conclude(config);
  return 0;
}

// Worlds as the supervisor says.
class SupervisedWorlds final : public Worlds {
 public:
  SupervisedWorlds(SupervisedWorld world, Faults& faults) : world_(std::move(world)), faults_(faults) {}

  World Next(const std::string& why) override {
    auto comm = faults_.In(world_.Next(why));
    const Generation& generation = world_.generation();
    return {std::move(comm), generation.number, generation.reason, generation.last};
  }
  bool ChangeIsDue() override { return world_.ChangeIsDue(); }
  int worker() const override { return world_.worker(); }

 private:
  SupervisedWorld world_;
  Faults& faults_;
};

// The process that RunProcesses() starts. What is wrong goes to the supervisor; the log has it too.
int RunAsWorker(const std::string& config_path, const CommandContext& context) {
  const int status_fd = std::stoi(GetEnvironment(kStatusFdVariable).value_or("-1"));
  const double started = std::stod(GetEnvironment(kStartedVariable).value_or("0"));
  const auto fail = [&](ExitCode code, const std::exception& error) {
    SendStatus(status_fd, StatusFailure{code, LineOf(error)});
    Say(error.what());  // in the worker's log: all of it
    // Not exit(): a group that has failed may have threads that never end.
    std::_Exit(static_cast<int>(code));
  };
  try {
    const TrainConfig config = FromJsonText(ReadFile(config_path));
    const std::chrono::duration<double> timeout(config.timeout);
    const auto tell = [&](const Status& status) { SendStatus(status_fd, status); };
    const std::string world = GetEnvironment(kWorldVariable).value_or("");
    const int worker = std::stoi(GetEnvironment("RANK").value_or("0"));
    const bool joins = GetEnvironment(kJoinsVariable) == "1";
    Faults faults(FaultsFromEnvironment(), worker);
    if (world.empty()) {
      const auto comm = faults.In(ConnectFromEnvironment({timeout}));
      const at::Device device = DeviceOfWorker(config.device, PlaceOfLocal(config), comm->rank());
      RunWorker(config,
                {*comm, context.models, started, tell, nullptr, std::nullopt, device, /*commits=*/true});
    } else {
      SupervisedWorlds worlds({world, worker, joins, timeout,
                               [&](int generation, const std::string& why) {
                                 tell(StatusWaiting{generation, why});
                               }},
                              faults);
      const auto nobody = ThreadWorld(1).Connect(0);
      RunWorkerThrough(worlds, config,
                       {*nobody, context.models, joins ? MonotonicSeconds() : started, tell, nullptr,
                        std::nullopt, at::kCPU, /*commits=*/true});
    }
  } catch (const Error& error) {
    fail(error.exit_code(), error);
  } catch (const std::exception& error) {
    fail(ExitCode::kRunFailed, error);
  }
  return 0;
}

}  // namespace

void AddTrainCommand(CLI::App& tool, const CommandContext& context, Action& run) {
  auto config = std::make_shared<TrainConfig>();
  auto instead = std::make_shared<Instead>();
  CLI::App* command = tool.add_subcommand("train", "Train one model on several workers");
  command->footer(
      "Example: swarmsync train --dataset mnist --model lenet5 --sync pso-ps --workers 4 --period 16\n"
      "Under torchrun, mpirun or srun (without --workers) this process is one worker of that job.");
  AddTrainFlags(*command, *config);
  NameValues(*command, context.models);
  AddConfigFlag(*command)->envname(kConfigVariable);
  command
      ->add_flag("--print-config", instead->print_config,
                 "print a TOML file of this configuration, for --config, and train nothing")
      ->group("The run");
  command
      ->add_flag("--dry-run", instead->dry_run,
                 "print what would be done, sent and kept in memory; start no worker and write nothing")
      ->group("The run");
  command->callback([&run, &context, command, config, instead] {
    run = [&context, command, config, instead] { return Train(*command, *config, *instead, context); };
  });
}

void AddWorkerCommand(CLI::App& tool, const CommandContext& context, Action& run) {
  auto config_path = std::make_shared<std::string>();
  CLI::App* command = tool.add_subcommand("worker", "One worker of a run (started by train)");
  command->group("");  // hidden
  command->add_option("config", *config_path)->required();
  command->callback([&run, &context, config_path] {
    run = [&context, config_path] { return RunAsWorker(*config_path, context); };
  });
}

}  // namespace swarmsync
