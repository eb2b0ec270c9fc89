// `swarmsync compare`: flags to a grid; then the runs of the plan (cli/train_run.h), each a process of its
// own, so that one that fails does not end the others. The records in --out are all the state there is: the
// plan (compare/plan.h) says from them what comes next.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <deque>
#include <future>
#include <set>
#include <thread>
#include <type_traits>
#include <utility>

#include "base/first_line.h"
#include "base/print.h"
#include "cli/commands.h"
#include "cli/flag_values.h"
#include "cli/flags_of.h"
#include "cli/parent.h"
#include "cli/stop_signals.h"
#include "cli/train_flags.h"
#include "cli/train_run.h"
#include "compare/plan.h"
#include "compare/results.h"
#include "compare/run_store.h"
#include "report/html_report.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/train/run_worker.h"
#include "train/config_fields.h"
#include "train/device.h"

namespace swarmsync {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGroup = "The comparison";

// Flags of train that a comparison sets itself, and those that hold a list for one run.
const std::vector<std::string> kOwn = {"seed",  "out",   "overwrite", "resume",
                                       "trace", "quiet", "progress",  "validation"};
const std::vector<std::string> kForAll = {"dataset", "sync", "period"};
const std::vector<std::string> kListForOneRun = {"worker-lr", "label-noise", "schedule"};

bool Contains(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

struct CompareArguments {
  // Flags of train and their texts, "" where not given. A deque, for CLI11 keeps references to the texts.
  std::deque<std::pair<std::string, std::string>> train;
  std::string seeds = "1,2,3,4,5", tuning_seeds = "101";
  std::int64_t validation = 5000, tuning_epochs = 0, samples = 0;
  int extensions = 6, finalists = 0, jobs = 1;
  std::string budget = "epochs", baseline, out;
  bool retry_failed = false, quiet = false, dry_run = false;
};

void AddFlags(CLI::App& command, CompareArguments& arguments) {
  TrainConfig defaults;
  VisitFields(defaults, [&](const char* name, const auto& member, const char* help, const char* group) {
    if (Contains(kOwn, name)) return;
    std::string& text = arguments.train.emplace_back(name, "").second;
    const std::string flag = std::string("--") + name;
    using Member = std::decay_t<decltype(member)>;
    CLI::Option* option = std::is_same_v<Member, bool>
                              ? command.add_flag(flag + "{true}", text, help)
                              : command.add_option(flag, text, help)->type_name("LIST");
    if constexpr (std::is_enum_v<Member>) SetValues(*option, AllNames<Member>());
    option->group(group)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  });
  const auto add = [&](const char* flag, auto& member, const char* help) {
    return command.add_option(flag, member, help)
        ->group(kGroup)
        ->capture_default_str()
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  };
  add("--seeds", arguments.seeds, "seeds of the final runs, on the test set");
  add("--tuning-seeds", arguments.tuning_seeds, "seeds of the runs that choose the setting");
  add("--validation", arguments.validation, "training samples held out while tuning")
      ->check(CLI::PositiveNumber);
  command
      .add_option("--tuning-epochs", arguments.tuning_epochs,
                  "length of the runs that choose the setting, where trainings are long [as the final runs]")
      ->group(kGroup)
      ->check(CLI::PositiveNumber);
  SetValues(*add("--budget", arguments.budget,
                 "what is equal: epochs, samples (--samples), or bytes (who sends half exchanges twice as "
                 "often)"),
            AllNames<Budget>());
  add("--samples", arguments.samples, "samples that all workers of a run see together, for --budget samples");
  add("--baseline", arguments.baseline,
      "synchronizer that the others are held against, seed by seed (average; without it, the first of "
      "--sync)");
  add("--extensions", arguments.extensions,
      "how often a part of the grid may be extended whose best lies at its edge")
      ->check(CLI::NonNegativeNumber);
  add("--finalists", arguments.finalists,
      "how many settings, the best with the first tuning seed, are tried with the others; 0: all")
      ->check(CLI::NonNegativeNumber);
  add("--jobs", arguments.jobs,
      "how many runs are made at a time; each takes workers x --threads-per-worker cores")
      ->check(CLI::PositiveNumber);
  command
      .add_option("--out", arguments.out, "directory for the results; given again, it goes on where it was")
      ->type_name("DIR")
      ->group(kGroup)
      ->required();
  command.add_flag("--retry-failed", arguments.retry_failed, "make failed runs again")->group(kGroup);
  command.add_flag("--quiet", arguments.quiet, "print nothing but errors")->group(kGroup);
  command
      .add_flag("--dry-run", arguments.dry_run, "print how many runs are to be made; make and write nothing")
      ->group(kGroup);
}

// Divides "pso-ps:0.1,0.2;leader:0.3" into synchronizers and their lists; without a synchronizer's name in
// front, the list is for all ("").
std::vector<std::pair<std::string, std::string>> PerSynchronizer(const std::string& text) {
  const std::vector<std::string> names = SynchronizerNames();
  std::vector<std::pair<std::string, std::string>> parts;
  for (const std::string& part : CLI::detail::split(text, ';')) {
    const std::size_t colon = part.find(':');
    if (colon == std::string::npos || !Contains(names, part.substr(0, colon))) return {{"", text}};
    parts.emplace_back(part.substr(0, colon), part.substr(colon + 1));
  }
  return parts;
}

// The values of a flag: a list, or one.
std::vector<std::string> ListOf(const std::string& flag, const std::string& text) {
  if (Contains(kListForOneRun, flag)) return {text};
  std::vector<std::string> values = SplitList(text);
  for (const std::string& value : values) {
    if (value.empty())
      throw UsageError(fmt::format("--{} is '{}'; a value is missing beside a comma", flag, text));
    if (std::count(values.begin(), values.end(), value) > 1) {
      throw UsageError(fmt::format("--{} is '{}'; {} is there twice", flag, text, value));
    }
  }
  return values;
}

std::vector<std::int64_t> Numbers(const std::string& flag, const std::vector<std::string>& texts) {
  std::vector<std::int64_t> numbers;
  for (const std::string& text : texts) {
    std::int64_t number = 0;
    if (!CLI::detail::lexical_cast(text, number) || number < 1) {
      throw UsageError(fmt::format("--{} has '{}'; it must be a number of at least 1", flag, text));
    }
    numbers.push_back(number);
  }
  return numbers;
}

// What `train` would make of a run's flags. Throws what it would.
TrainConfig ConfigOf(const Flags& flags) {
  CLI::App train;
  TrainConfig config;
  AddTrainFlags(train, config);
  std::vector<std::string> reversed;
  for (const auto& [flag, value] : flags) reversed.push_back(fmt::format("--{}={}", flag, value));
  try {
    train.parse(reversed);
  } catch (const CLI::ParseError& error) {
    throw UsageError(FirstLine(error.what()));
  }
  RefuseZero(train);
  Validate(config);
  return config;
}

// Whether a flag is a real number, beyond whose values there are others to try.
bool IsMeasure(const std::string& flag) {
  bool measure = false;
  const TrainConfig config;
  VisitFields(config, [&](const char* name, const auto& member, const char*, const char*) {
    using Member = std::decay_t<decltype(member)>;
    measure =
        measure || (flag == name && (std::is_same_v<Member, double> || std::is_same_v<Member, Inertia> ||
                                     std::is_same_v<Member, std::optional<double>>));
  });
  return measure;
}

CompareOptions OptionsFrom(const CompareArguments& arguments) {
  const TrainConfig defaults;
  CompareOptions options;
  options.datasets = {defaults.dataset};
  options.synchronizers = {"average", "pso-ps"};
  options.periods = {defaults.period};
  options.common = {{"backend", ToString(Backend::kThreads)},
                    {"batch-size", std::to_string(defaults.batch_size)},
                    {"workers", std::to_string(defaults.workers)}};
  bool has_length = false;
  for (const auto& [flag, text] : arguments.train) {
    if (text.empty()) continue;
    const bool extends = IsMeasure(flag);
    if (const auto parts = PerSynchronizer(text); !parts.front().first.empty()) {
      if (Contains(kForAll, flag)) {
        throw UsageError(fmt::format("--{} is '{}'; it must be a list for all synchronizers", flag, text));
      }
      for (const auto& [sync, list] : parts)
        options.axes.push_back({flag, ListOf(flag, list), sync, extends});
      continue;
    }
    const std::vector<std::string> values = ListOf(flag, text);
    has_length = has_length || flag == "epochs" || flag == "steps";
    if (flag == "dataset") {
      options.datasets = values;
    } else if (flag == "sync") {
      options.synchronizers = values;
    } else if (flag == "period") {
      options.periods = Numbers(flag, values);
    } else if (values.size() == 1) {
      options.common[flag] = values.front();
    } else {
      options.axes.push_back({flag, values, "", extends});
    }
  }
  options.tuning_seeds = ListOf("tuning-seeds", arguments.tuning_seeds);
  options.final_seeds = ListOf("seeds", arguments.seeds);
  options.validation = arguments.validation;
  options.tuning_epochs = arguments.tuning_epochs;
  options.extensions = arguments.extensions;
  options.finalists = arguments.finalists;
  options.budget = ParseEnum<Budget>(arguments.budget);
  options.allowed = [](const Flags& setting) {
    try {
      ConfigOf(setting);
      return true;
    } catch (const UsageError&) {
      return false;
    }
  };
  options.samples = arguments.samples;
  options.baseline = arguments.baseline;
  if (options.baseline.empty()) {
    options.baseline = Contains(options.synchronizers, "average") ? "average" : options.synchronizers.front();
  } else if (!Contains(options.synchronizers, options.baseline)) {
    throw UsageError(fmt::format("--baseline is '{}', which is not compared; name one of --sync: {}",
                                 options.baseline, fmt::join(options.synchronizers, ", ")));
  }

  if (options.finalists > 0 && options.tuning_seeds.size() == 1) {
    throw UsageError(fmt::format(
        "--finalists is {} and --tuning-seeds has one seed, after which nothing is left to decide; give two "
        "seeds or more",
        options.finalists));
  }
  const bool tunes_epochs = std::any_of(options.axes.begin(), options.axes.end(),
                                        [](const Axis& axis) { return axis.flag == "epochs"; });
  if (options.tuning_epochs > 0 && tunes_epochs) {
    throw UsageError(
        "--tuning-epochs is given with several --epochs, which it would make one; give one length");
  }
  if (options.tuning_epochs > 0 &&
      (options.common.count("steps") > 0 || options.budget == Budget::kSamples)) {
    throw UsageError("--tuning-epochs needs final runs whose length is in epochs; give --epochs");
  }
  const bool by_samples = options.budget == Budget::kSamples;
  if (by_samples != (options.samples > 0)) {
    throw UsageError("--budget samples and --samples N belong together; give both or none");
  }
  if (by_samples && has_length) {
    throw UsageError("--samples is given beside --epochs or --steps; give one of them");
  }
  if (!by_samples && !has_length) options.common["epochs"] = std::to_string(kDefaultEpochs);
  if (options.budget == Budget::kBytes && Contains(options.synchronizers, "ssgd")) {
    throw UsageError(
        "--budget bytes cannot hold ssgd, which exchanges at every step; leave it out of --sync");
  }
  return options;
}

// Finds out before the first run what would stop the last. Returns what the user should know all the same.
std::set<std::string> CheckAll(const CompareOptions& options, const ModelRegistry& models) {
  const Outcomes none = [](const Flags&) { return std::nullopt; };
  std::set<std::string> warnings;
  for (const Group& group : Groups(options)) {
    bool first = true;
    for (const PlannedRun& run : PlanGroup(options, group, none).missing) {
      TrainConfig config = ConfigOf(run.flags);
      config.device = DeviceOfLocal(config);
      if (std::exchange(first, false)) {
        const CheckedRun checked = CheckRun(config, models, static_cast<int>(config.workers));
        warnings.insert(checked.warnings.begin(), checked.warnings.end());
      }
    }
  }
  return warnings;
}

std::string Duration(double seconds) {
  const auto minutes = static_cast<std::int64_t>(std::llround(seconds / 60));
  if (minutes < 1) return "less than a minute";
  return minutes < 60 ? fmt::format("about {} min", minutes)
                      : fmt::format("about {} h {} min", minutes / 60, minutes % 60);
}

void PrintRun(const CompareOptions& options, const RunRecord& record, const PlannedRun& run) {
  const bool tune = run.stage == Stage::kTune;
  const std::string outcome =
      record.failed
          ? "failed: " + record.message
          : fmt::format("{} accuracy {:.4f}", tune ? "validation" : "test",
                        record.result.at(tune ? "validation_accuracy" : "test_accuracy").get<double>());
  const std::string setting = Describe(options, run.setting);
  fmt::print("{} {} {} period {}{}{}, seed {}: {}", tune ? "tune" : "final", run.flags.at("dataset"),
             run.flags.at("sync"), run.flags.at("period"), setting.empty() ? "" : ", ", setting,
             run.flags.at("seed"), outcome);
}

void WriteResults(const CompareOptions& options, const RunStore& store, const fs::path& out) {
  const std::vector<GroupResult> results = Summarize(options, store);
  WriteFileAtomically(out / "summary.csv", ToCsv(results));
  WriteFileAtomically(out / "summary.md", ToMarkdown(options, results));
  WriteFileAtomically(out / "report.html", RenderReport(ToReport(options, results)));
}

// The directory of a comparison is new, empty, or one that a comparison has worked in.
void CheckDirectory(const fs::path& out, const fs::path& store) {
  if (fs::is_directory(out) && !fs::is_empty(out) && !fs::exists(store)) {
    throw UsageError(fmt::format("--out {} is not empty and holds no {}; name another one", out.string(),
                                 store.filename().string()));
  }
}

void PrepareDirectory(const fs::path& out) {
  std::error_code error;
  fs::create_directories(out, error);
  if (!fs::is_directory(out)) {
    throw UsageError(fmt::format("--out {} cannot be made a directory; name another one", out.string()));
  }
}

// Whether a run that failed is one that has been made.
enum class Failures { kMade, kAgain };

std::int64_t RunsLeft(const CompareOptions& options, const RunStore& store) {
  std::int64_t left = 0;
  for (const Group& group : Groups(options)) {
    const GroupPlan plan = PlanGroup(options, group, OutcomesIn(store));
    left += static_cast<std::int64_t>(plan.missing.size()) + plan.later;
  }
  return left;
}

// The runs that are being made now, each in a directory of its own.
class RunsInWork {
 public:
  explicit RunsInWork(const fs::path& directory) : directory_(directory) {
    fs::remove_all(directory_);  // what a comparison left that was killed
  }
  // Ends those that are left.
  ~RunsInWork() {
    given_up_ = true;
    for (Item& item : items_) item.record.wait();
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }
  RunsInWork(const RunsInWork&) = delete;
  RunsInWork& operator=(const RunsInWork&) = delete;

  std::size_t size() const { return items_.size(); }

  bool Contains(const PlannedRun& run) const {
    return std::any_of(items_.begin(), items_.end(),
                       [&](const Item& item) { return item.run.flags == run.flags; });
  }

  void Begin(const PlannedRun& run) {
    const fs::path own = directory_ / std::to_string(begun_++);
    items_.push_back({run, std::async(std::launch::async, [this, run, own] {
                        return MakeRun(run, own, [this] {
                          StopSignals::Check();
                          if (given_up_) throw RunError("the comparison has ended");
                        });
                      })});
  }

  // Waits for one to end and gives it away.
  std::pair<PlannedRun, RunRecord> TakeNext() {
    for (;;) {
      for (auto item = items_.begin(); item != items_.end(); ++item) {
        if (item->record.wait_for(std::chrono::seconds(0)) != std::future_status::ready) continue;
        Item done = std::move(*item);
        items_.erase(item);
        return {done.run, done.record.get()};
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }

 private:
  struct Item {
    PlannedRun run;
    std::future<RunRecord> record;
  };

  fs::path directory_;
  std::vector<Item> items_;
  std::atomic<bool> given_up_{false};
  int begun_ = 0;
};

// The next run of the plan that nobody works on.
std::optional<PlannedRun> NextRun(const CompareOptions& options, const RunStore& store,
                                  const RunsInWork& in_work) {
  for (const Group& group : Groups(options)) {
    for (PlannedRun& run : PlanGroup(options, group, OutcomesIn(store)).missing) {
      if (!in_work.Contains(run)) return std::move(run);
    }
  }
  return std::nullopt;
}

void MakeRuns(const CompareOptions& options, RunStore& store, const fs::path& out, int jobs, bool quiet) {
  const StopSignals signals;
  TakeChildrenAlong();
  RunsInWork in_work(out / "running");
  const double begin = MonotonicSeconds();
  for (std::int64_t made = 1;; ++made) {
    while (in_work.size() < static_cast<std::size_t>(jobs)) {
      const std::optional<PlannedRun> next = NextRun(options, store, in_work);
      if (!next) break;
      in_work.Begin(*next);
    }
    if (in_work.size() == 0) break;
    const auto [run, record] = in_work.TakeNext();
    store.Add(record);
    if (run.stage == Stage::kFinal) WriteResults(options, store, out);
    if (quiet) continue;
    PrintRun(options, record, run);
    const std::int64_t left = RunsLeft(options, store);
    fmt::print(
        left == 0 ? "\n" : "; {} more, {}\n", left,
        Duration((MonotonicSeconds() - begin) / static_cast<double>(made) * static_cast<double>(left)));
    std::fflush(stdout);
  }
}

// What is left to do, from a copy of the records, for whoever works on them goes on.
void PrintPlan(const CompareOptions& options, const fs::path& runs, Failures failures) {
  const PrivateDirectory directory;
  const fs::path copy = directory.path() / runs.filename();
  if (fs::exists(runs)) fs::copy_file(runs, copy);
  RunStore store(copy);
  if (failures == Failures::kAgain) store.ForgetFailures();
  for (const Group& group : Groups(options)) {
    const GroupPlan plan = PlanGroup(options, group, OutcomesIn(store));
    const bool tunes = !plan.chosen;
    fmt::print("{} {} period {}: {} {} to make{}\n", group.dataset, group.sync, group.period,
               plan.missing.size(), tunes ? "tuning runs" : "final runs",
               plan.later > 0 ? fmt::format(", {} sure to follow", plan.later) : "");
  }
  fmt::print(
      "{} runs to make, and one more for each value beyond the grid that is tried; results would be in {}\n",
      RunsLeft(options, store), runs.parent_path().string());
}

int Compare(const CompareArguments& arguments, const CommandContext& context) {
  unsetenv(kConfigVariable);  // a run is all that its flags say
  const CompareOptions options = OptionsFrom(arguments);
  for (const std::string& warning : CheckAll(options, context.models)) {
    if (!arguments.quiet) SayWarning(warning);
  }
  const fs::path out = fs::absolute(arguments.out), runs = out / "runs.jsonl";
  CheckDirectory(out, runs);
  if (arguments.dry_run) {
    PrintPlan(options, runs, arguments.retry_failed ? Failures::kAgain : Failures::kMade);
    return 0;
  }
  PrepareDirectory(out);
  RunStore store(runs);
  if (arguments.retry_failed) store.ForgetFailures();
  if (!arguments.quiet) {
    fmt::print("{} runs to make; results are in {}\n", RunsLeft(options, store), out.string());
    std::fflush(stdout);
  }
  MakeRuns(options, store, out, arguments.jobs, arguments.quiet);
  WriteResults(options, store, out);
  if (!arguments.quiet) fmt::print("{}", ToTerminal(options, Summarize(options, store)));
  return 0;
}

}  // namespace

void AddCompareCommand(CLI::App& tool, const CommandContext& context, Action& run) {
  auto arguments = std::make_shared<CompareArguments>();
  CLI::App* command = tool.add_subcommand(
      "compare", "The same training under several synchronizers, fairly tuned; resumable");
  command->footer(
      "A flag of train with several values, a,b,c, makes a grid; pso-ps:a,b;slowmo:c is for these alone. "
      "The\n"
      "setting of each synchronizer and period is chosen on held-out training samples with the tuning "
      "seeds;\n"
      "then the final seeds run on the test set.\n"
      "Example: swarmsync compare --sync ssgd,average,pso-ps --period 4,16 --lr 0.05,0.1,0.2 --out cmp");
  AddFlags(*command, *arguments);
  NameValues(*command, context.models);
  AddConfigFlag(*command);
  command->callback(
      [&run, &context, arguments] { run = [&context, arguments] { return Compare(*arguments, context); }; });
}

}  // namespace swarmsync
