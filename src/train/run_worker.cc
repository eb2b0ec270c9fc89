#include "swarmsync/train/run_worker.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "base/first_line.h"
#include "base/json.h"
#include "model/torchscript.h"
#include "report/json_files.h"
#include "report/run_events.h"
#include "report/trace_file.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/comm/counting_communicator.h"
#include "swarmsync/comm/link.h"
#include "swarmsync/data/dataset.h"
#include "swarmsync/data/noisy_labels.h"
#include "swarmsync/data/sampler.h"
#include "swarmsync/data/sharding.h"
#include "swarmsync/params/weights.h"
#include "swarmsync/report/run_files.h"
#include "swarmsync/train/model_file.h"
#include "swarmsync/train/trainer.h"
#include "train/autocast.h"
#include "train/checkpointer.h"
#include "train/config_fields.h"
#include "train/device.h"
#include "train/device_batches.h"
#include "train/optimizer.h"
#include "train/stall_watch.h"
#include "train/survivor.h"
#include "train/torch_seed.h"
#include "train/worker_parts.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

// Changes of the membership, as a state has them.
Json EventsOf(const std::string& text) {
  try {
    Json events = ParseJson<Json>(text);
    if (events.is_array()) return events;
  } catch (const Json::exception&) {
  }
  throw DataError("a state has no list of changes of the membership; it is of another version");
}

// A line about the image files that were left out, or nothing.
std::vector<std::string> SkippedFiles(const Dataset& data) {
  if (data.skipped.empty()) return {};
  constexpr std::size_t kNamed = 5;
  const std::size_t named = std::min(kNamed, data.skipped.size()), more = data.skipped.size() - named;
  return {fmt::format("{} image file{} could not be read and {} skipped: {}{}", data.skipped.size(),
                      data.skipped.size() == 1 ? "" : "s", data.skipped.size() == 1 ? "was" : "were",
                      fmt::join(data.skipped.begin(), data.skipped.begin() + named, "; "),
                      more > 0 ? fmt::format("; and {} more", more) : "")};
}

// The data as this worker sees them.
Dataset WithLabelNoise(Dataset data, const TrainConfig& config, int rank) {
  if (!config.label_noise.empty()) {
    data.train = std::make_shared<NoisyLabels>(
        data.train, data.num_classes,
        LabelNoise{config.label_noise[static_cast<std::size_t>(rank)], config.seed, rank});
  }
  return data;
}

// Copies the weights of --init into the model, unless there is a checkpoint, whose weights will be taken.
void TakeInitialWeights(const TrainConfig& config, ImageClassifier& model) {
  if (config.init.empty()) return;
  if (!config.resume.empty() &&
      !CheckpointDirectory(RunFiles{config.resume}.checkpoints()).Complete().empty())
    return;
  try {
    CopyInto(model, LoadWeights(config.init), config.init);
  } catch (const DataError& error) {
    throw DataError(fmt::format("--init: {}", error.what()));
  }
}

// Rank 0 draws its initial weights alone, so that ranks that are threads, and share libtorch's generator, do
// not draw from it at the same time. (The others' weights are replaced by rank 0's in MakeSynchronizer.)
std::shared_ptr<ImageClassifier> BuildModel(const TrainConfig& config, const WorkerContext& context,
                                            const ModelInput& input) {
  std::shared_ptr<ImageClassifier> model;
  if (context.comm.rank() == 0) {
    torch::manual_seed(TorchSeed(config.seed, 0, Draws::kWeights));
    model = context.models.Make(config.model, input);
  }
  context.comm.Barrier();
  if (!model) model = context.models.Make(config.model, input);
  TakeInitialWeights(config, *model);
  // Threads share one generator, so what they draw from it, such as dropout, depends on who comes first.
  if (config.backend == Backend::kProcesses)
    torch::manual_seed(TorchSeed(config.seed, context.comm.rank(), Draws::kTraining));
  return model;
}

void CheckGraph(const TrainConfig& config) {
  if (config.cuda_graph != CudaGraph::kOn) return;
  if (config.device == "cpu")
    throw UsageError("--cuda-graph is on, and the workers train on the CPU; give off, or --device cuda");
  if (SharesStreams(config)) {
    throw UsageError(fmt::format("--cuda-graph is on, and {} threads would share {} streams; give off",
                                 config.workers, DeviceScope::kStreams));
  }
}

// What libtorch says, in a line: the last of an interpreter's trace, or the first.
std::string ReasonOf(const std::string& message) {
  const std::size_t error = message.rfind("RuntimeError: ");
  return FirstLine(error == std::string::npos ? message : message.substr(error));
}

// Takes the model to where it trains, before others keep its tensors.
void Settle(ImageClassifier& model, const at::Device& device, at::MemoryFormat format) {
  model.to(device);
  for (at::Tensor& parameter : model.parameters()) {
    if (parameter.dim() == 4) parameter.set_data(parameter.detach().contiguous(format));
  }
}

// What the device does not take is found out here and not in the first step.
void TryOnDevice(ImageClassifier& model, const at::Device& device, const ImageShape& shape, Amp amp) {
  torch::NoGradGuard no_grad;
  model.eval();
  try {
    const Autocast autocast(amp, device.type());
    model.forward(at::zeros({2, shape.channels, shape.height, shape.width}, device));
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const std::exception& error) {
    throw UsageError(
        fmt::format("the model cannot run on {} with --amp {} ({}); give --device cpu, or another --amp",
                    device.str(), ToString(amp), ReasonOf(error.what())));
  }
  model.train();
}

std::string HostName() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

void WriteWorkers(Communicator& comm, const RunFiles& files, const at::Device& device) {
  const Json mine = {
      {"rank", comm.rank()}, {"pid", getpid()}, {"host", HostName()}, {"device", device.str()}};
  Json all = Json::array();
  for (const std::string& text : comm.AllGather(mine.dump())) all.push_back(Json::parse(text));
  if (comm.rank() == 0) WriteJson(files.workers(), all);
}

Json ToJson(const Evaluation& evaluation) {
  return {{"accuracy", evaluation.accuracy}, {"loss", evaluation.loss}, {"samples", evaluation.samples}};
}

// The members of config.json that a result may depend on.
Json Hyperparameters(const TrainConfig& config, const Json& members) {
  Json chosen = Json::object();
  VisitFields(config, [&](const char* name, const auto&, const char*, std::string_view group) {
    const std::string key = KeyOf(name);
    if (group != kRunGroup || key == "seed") chosen[key] = members.at(key);
  });
  return chosen;
}

// A worker's observer. Rank 0's writes metrics.jsonl and TensorBoard's events, and tells the status to
// whoever watches; each writes its part of the trace, if there is to be one.
class Recorder : public TrainObserver {
 public:
  Recorder(const RunFiles& files, const TrainConfig& config, const WorkerContext& context)
      : context_(context),
        inertia_varies_(config.swarm.inertia.varies()),
        times_left_out_(static_cast<std::size_t>(context.comm.size())) {
    if (config.trace)
      trace_ = std::make_unique<TraceFile>(files, context.worker >= 0 ? context.worker : context.comm.rank());
    if (context.comm.rank() != 0) return;
    metrics_.emplace(files.metrics());
    const Json members = Json::parse(ToJsonText(config));
    events_.emplace(files, members, Hyperparameters(config, members));
  }

  void OnProgress(const Progress& progress) override { Tell(progress); }

  void OnLoss(std::int64_t step, double epoch, double mean_loss, double lr) override {
    Append({{"event", "loss"}, {"step", step}, {"epoch", epoch}, {"loss", mean_loss}, {"lr", lr}});
  }

  void OnRound(const RoundRecord& round, double epoch) override {
    for (const int rank : round.left_out) ++times_left_out_[static_cast<std::size_t>(rank)];
    Json record = {{"event", "exchange"},
                   {"step", round.step},
                   {"epoch", epoch},
                   {"round", round.round},
                   {"fitness", round.fitness},
                   {"best", round.best},
                   {"improvement", round.improvement},
                   {"spread", round.spread},
                   {"displacement", round.displacement},
                   {"pull", round.pull},
                   {"move", round.move},
                   {"left_out", round.left_out},
                   {"bytes", round.bytes},
                   {"seconds", round.seconds}};
    if (inertia_varies_) record["inertia"] = round.inertia;
    Append(record);
  }

  void OnCheckpointFailed(std::int64_t step, const std::string& reason) override {
    Append({{"event", "checkpoint_failed"}, {"step", step}, {"reason", reason}});
    Tell(StatusNote{
        fmt::format("the checkpoint of step {} could not be written ({}); training goes on", step, reason)});
  }

  // The records that are written behind a checkpoint will be written again by who goes on from it.
  void VisitState(StateVisitor& state) override {
    const StateVisitor::Within within(state, "records");
    if (metrics_ && !state.loads()) bytes_ = static_cast<std::int64_t>(metrics_->size());
    state.Number("bytes", Held::kByEach, bytes_);
    if (events_ && !state.loads()) position_ = events_->position();
    state.Bytes("position in the events", Held::kByEach, position_);
    std::string events = membership_events_.dump();
    state.Bytes("membership events", Held::kByAll, events);
    if (state.loads()) membership_events_ = EventsOf(events);
    if (!state.same_world()) return;
    std::vector<std::int64_t> times = times_left_out_;
    state.Records("times left out", Held::kByAll, times);
    if (times.size() != times_left_out_.size()) throw DataError("a state is of another number of workers");
    times_left_out_ = times;
  }

  // Behind what was recorded when the state of `step` was saved that has been loaded; all where none has
  // been.
  void ForgetTheRest(std::int64_t step) {
    if (metrics_) metrics_->ShortenTo(static_cast<std::uintmax_t>(bytes_));
    if (!events_) return;
    events_->ForgetTheRest(position_);
    events_->GoOnAfter(step);
  }

  void OnWorld(const World& world, std::int64_t step, double epoch, std::int64_t round) {
    const Json event = {{"generation", world.generation},
                        {"workers", world.comm->size()},
                        {"step", step},
                        {"epoch", epoch},
                        {"round", round},
                        {"reason", world.reason}};
    membership_events_.push_back(event);
    Json record = {{"event", "membership"}};
    record.update(event);
    if (events_) events_->GoOnAfter(step);
    Append(record);
    Tell(StatusNote{fmt::format("generation {}: {}; {} worker{} from step {}", world.generation, world.reason,
                                world.comm->size(), world.comm->size() == 1 ? " goes on" : "s go on", step)});
  }
  const Json& membership_events() const { return membership_events_; }

  // What a person should know, on the screen and in the records.
  void Note(const std::string& event, const std::string& line) {
    Append({{"event", event}, {"note", line}});
    Tell(StatusNote{line});
  }

  // By rank, in how many rounds the guard left it out.
  const std::vector<std::int64_t>& times_left_out() const { return times_left_out_; }

  void OnEpoch(const Epoch& epoch) override {
    Json record = {
        {"event", "epoch"}, {"step", epoch.step}, {"epoch", epoch.epoch}, {"train_loss", epoch.train_loss}};
    std::string note = fmt::format("epoch {:g}: train loss {:.4f}", epoch.epoch, epoch.train_loss);
    const auto add = [&](const char* name, const std::optional<Evaluation>& evaluation) {
      if (!evaluation) return;
      record[name] = ToJson(*evaluation);
      note += fmt::format(", {} accuracy {:.4f}", name, evaluation->accuracy);
    };
    add("validation", epoch.validation);
    add("test", epoch.test);
    Append(record);
    Tell(StatusNote{note});
    if (trace_) trace_->Flush();
  }

  void OnSpan(const TraceSpan& span) override {
    if (trace_) trace_->Add(span);
  }
  // Nothing is done any more that a trace shows.
  void EndTrace() {
    if (trace_) trace_->Flush();
    trace_.reset();
  }

  void OnSummary(const Json& summary) {
    if (events_) events_->Finish(summary);
  }

  void CheckStop() override {
    if (context_.check_stop) context_.check_stop();
  }

 private:
  void Append(const Json& record) {
    if (metrics_) metrics_->Append(record);
    if (events_) events_->Append(record);
  }
  void Tell(const Status& status) {
    if (metrics_ && context_.tell_status) context_.tell_status(status);
  }

  const WorkerContext& context_;
  bool inertia_varies_;
  std::int64_t bytes_ = 0;  // of the records, when the state was saved
  std::string position_;    // likewise, of the events
  Json membership_events_ = Json::array();
  std::vector<std::int64_t> times_left_out_;
  std::optional<JsonLines> metrics_;  // rank 0 only
  std::optional<RunEvents> events_;   // likewise
  std::unique_ptr<TraceFile> trace_;  // with --trace
};

// Each account and the bytes become the mean over the workers. Collective.
void TakeMeansOverWorkers(Ledger& ledger, SentBytes& sent, Communicator& comm) {
  std::vector<double*> accounts{&sent.all, &sent.between_hosts};
  ledger.Visit([&](const char*, double& seconds) { accounts.push_back(&seconds); });
  std::vector<double> mine;
  for (double* const account : accounts) mine.push_back(std::exchange(*account, 0));
  const std::vector<double> all = comm.AllGather(mine);
  for (std::size_t i = 0; i < all.size(); ++i) *accounts[i % accounts.size()] += all[i] / comm.size();
}

// What this worker alone draws from. Threads share libtorch's generators.
std::vector<at::Generator> OwnGenerators(const TrainConfig& config, const at::Device& device) {
  std::vector<at::Generator> generators;
  if (config.backend == Backend::kThreads && config.workers > 1) return generators;
  generators.push_back(at::globalContext().defaultGenerator(at::kCPU));
  if (!device.is_cpu()) generators.push_back(at::globalContext().defaultGenerator(device));
  return generators;
}

Json Versions(const at::Device& device) {
  Json versions = {{"swarmsync", SWARMSYNC_VERSION}, {"libtorch", TORCH_VERSION}, {"compiler", __VERSION__}};
  if (device.is_cuda()) versions["gpu"] = DescribeGpu(device.index());
  return versions;
}

// Goes on where the newest checkpoint in config.resume was written, if there is one. Collective.
void Resume(const TrainConfig& config, const WorkerContext& context, const FlatParams& params,
            Trainer& trainer, Synchronizer& sync, Recorder& recorder) {
  Communicator& comm = context.comm;
  const CheckpointDirectory directory(RunFiles{config.resume}.checkpoints());
  const FoundCheckpoint found = FindNewest(directory, comm);
  const auto [round, size] = found.checkpoint;
  if (round > 0) {
    StateLoader state(found.part.tensors, directory.PathOf(round).string(), params.weights().device(),
                      size == comm.size());
    trainer.Resume(state, recorder);
  }
  recorder.ForgetTheRest(sync.steps());
  if (config.resume == config.out) RemoveNewer(directory, round, comm);
  for (const std::string& line : found.damaged) recorder.Note("checkpoint_damaged", line);
  if (round == 0) {
    recorder.Note("resume", fmt::format("there is no checkpoint in {} yet; training from the beginning",
                                        config.resume));
    return;
  }
  const std::string& step = found.part.metadata.at(kStepKey);
  if (size == comm.size()) {
    recorder.Note("resume", fmt::format("going on from the checkpoint of step {}", step));
  } else {
    recorder.Note(
        "resume",
        fmt::format("going on from the checkpoint of step {} with {} workers instead of {}, as step "
                    "{}: worker r begins with the state that worker r mod {} had, and an epoch has "
                    "another number of steps",
                    step, comm.size(), size, sync.steps(), size));
  }
}

// The run is over and has its results: that the parts of its trace cannot be put together ends it no more.
void MergeTraceOrTell(const RunFiles& files, Recorder& recorder) {
  try {
    MergeTrace(files);
  } catch (const std::exception& error) {
    recorder.Note("trace_failed", fmt::format("the trace's parts stay in {}: {}",
                                              files.trace_parts().string(), FirstLine(error.what())));
  }
}

// Saves the final model and what became of the training. Collective.
void FinishRun(const TrainConfig& config, const WorkerContext& context, const Dataset& data,
               ImageClassifier& model, TrainResult result, const Synchronizer& sync, Recorder& recorder) {
  Communicator& comm = context.comm;
  const RunFiles files{config.out};
  LapTimer timer, since_run;
  if (comm.rank() == 0) {
    SaveModel(files.model(), model, config.model, data);
    model.SaveScript(files.script());
  }
  const auto end_lap = [&](double& account, std::string_view name) {
    const double began = timer.last() + result.clock_offset;
    account += timer.Lap();
    recorder.OnSpan({TraceSpan::Lane::kTraining, name, began, timer.last() + result.clock_offset, {}});
  };
  end_lap(result.ledger.checkpoint, "checkpoint");
  comm.Barrier();
  end_lap(result.ledger.wait, "wait");
  recorder.EndTrace();
  TakeMeansOverWorkers(result.ledger, result.bytes_sent, comm);
  // Nobody ends with success before the results are there.
  if (comm.rank() != 0) return comm.Barrier();

  Json summary = {
      {"sync", config.sync},
      {"period", sync.period()},
      {"workers", comm.size()},
      {"seed", config.seed},
      {"epochs", result.epochs},
      {"steps", sync.steps()},
      {"rounds", sync.rounds()},
      {"test_accuracy", result.test.accuracy},
      {"test_loss", result.test.loss},
      {"train_loss", result.train_loss},
      {"final_model", sync.final_model()},
      {"bytes_sent_per_worker", result.bytes_sent.all},
      {"left_out_rounds", recorder.times_left_out()},
  };
  result.ledger.Visit(
      [&](const char* name, double seconds) { summary[fmt::format("{}_seconds", name)] = seconds; });
  summary["wall_seconds"] = result.wall_seconds + since_run.Lap();
  summary["samples_per_second"] = result.samples_per_second;
  summary["membership_events"] = recorder.membership_events();
  summary["versions"] = Versions(context.device);
  if (config.link.emulated()) summary["emulated_link"] = ToString(config.link);
  if (config.group_size > 1) {
    summary["group_size"] = config.group_size;
    summary["bytes_sent_between_groups_per_worker"] = result.bytes_sent.between_hosts;
  }
  if (result.validation) {
    summary["validation_accuracy"] = result.validation->accuracy;
    summary["validation_loss"] = result.validation->loss;
  }
  WriteJson(files.summary(), summary);
  comm.Barrier();
  recorder.OnSummary(summary);
  if (config.trace) MergeTraceOrTell(files, recorder);
}

// Records the world that a survivor is in now, which may be the last one. Collective.
void EnterWorld(const World& world, bool begun, const TrainConfig& config, const ShardedSampler& sampler,
                Trainer& trainer, const Synchronizer& sync, Recorder& recorder) {
  if (world.generation == 1) return;
  recorder.OnWorld(world, sync.steps(),
                   static_cast<double>(sync.steps()) / static_cast<double>(sampler.steps_per_epoch()),
                   sync.rounds());
  if (!world.last) return;
  std::string kept = "nothing had been trained yet";
  if (begun) {
    const std::string failure = trainer.WriteCheckpoint(recorder);
    kept =
        failure.empty()
            ? fmt::format("go on from the checkpoint of step {} with --resume {}", sync.steps(), config.out)
            : fmt::format(
                  "the checkpoint of step {} could not be written: {}; --resume {} goes on from the one "
                  "before, if there is one",
                  sync.steps(), failure, config.out);
  }
  throw Error(ExitCode::kCommunication,
              fmt::format("{} of {} workers are left, and --min-workers is {} ({}); {}", world.comm->size(),
                          config.workers, std::max<std::int64_t>(1, config.min_workers), world.reason, kept));
}

// Returns false when the world broke and the survivor is in another one. survivor: null where a lost worker
// ends the run.
bool Train(const TrainConfig& config, const WorkerContext& context, Survivor* survivor) {
  Communicator& comm = context.comm;
  const RunFiles files{config.out};
  UseThreads(static_cast<int>(config.threads_per_worker));

  const Dataset clean = context.data ? *context.data : OpenData(config);
  const int worker = context.worker >= 0 ? context.worker : comm.rank();
  const Dataset data = WithLabelNoise(clean, config, worker);
  const ValidationSplit split = SplitOf(config, data);
  ShardedSampler sampler = MakeSampler(config, clean, split, comm.size(), comm.rank());
  const std::int64_t total_steps = TotalSteps(config, sampler);
  WriteWorkers(comm, files, context.device);

  const auto model = BuildModel(config, context, InputOf(data));
  Settle(*model, context.device, FormatOf(config, context.device));
  if (!context.device.is_cpu()) TryOnDevice(*model, context.device, data.shape, config.amp);
  FlatParams params(*model);
  const auto optimizer = MakeOptimizer(config, LearningRate(config, worker), params);
  const int group_size = static_cast<int>(config.group_size);
  LinkedCommunicator linked(comm, config.link, group_size);
  CountingCommunicator counted(linked, group_size);
  SyncOptions sync_options = SyncOptionsOf(config);
  sync_options.total_steps = total_steps;
  sync_options.rate = RateOf(config, sampler);
  sync_options.round_ends = RoundEndsOf(config, sampler);
  sync_options.trace = true;
  sync_options.commit = context.commits;
  sync_options.bytes_sent = [&] { return counted.sent().all; };
  if (config.fitness == Fitness::kProbe || config.guard)
    sync_options.probe = MakeProbe(*model, *clean.train, split);
  const auto sync = MakeSynchronizer(config.sync, params, counted, sync_options);

  const Augmenter augmenter(config.augment, data.shape, data.normalization, config.seed);
  const SampleIds validation{split.validation.data(), static_cast<std::int64_t>(split.validation.size())};
  TrainerOptions options;
  options.total_steps = total_steps;
  options.log_every = config.log_every;
  options.loader_threads = config.loader_threads;
  options.recalibrate = config.recalibrate;
  options.recipe = RecipeOf(config, worker, context.device, *model);
  options.bytes_sent = [&] { return counted.sent(); };
  options.check_replicas = config.check_replicas;
  options.checkpoint_every = config.checkpoint_every;
  options.checkpoints = CheckpointDirectory(files.checkpoints());
  options.checkpoint_metadata = {{"config", ToJsonText(config)},
                                 {"versions", Versions(context.device).dump()}};
  options.length_in_steps = config.steps > 0;
  options.generators = OwnGenerators(config, context.device);
  options.command_started = context.started;
  options.trace = config.trace;
  Trainer trainer(
      {*model, params, *optimizer, *sync, comm, data, sampler, augmenter, *clean.train, validation},
      std::move(options));
  Recorder recorder(files, config, context);
  bool begun = false;  // whether the trainer has what the worker has learned
  try {
    const bool goes_on = survivor != nullptr && survivor->world().generation > 1 &&
                         survivor->TakeOver(trainer, recorder, context.device);
    if (!goes_on && !config.resume.empty()) Resume(config, context, params, trainer, *sync, recorder);
    if (survivor != nullptr)
      EnterWorld(survivor->world(), goes_on || !config.resume.empty(), config, sampler, trainer, *sync,
                 recorder);
    comm.Barrier();
    begun = true;
    FinishRun(config, context, data, *model, trainer.Run(recorder), *sync, recorder);
    return true;
  } catch (const CommError& error) {
    if (survivor == nullptr) throw;
    survivor->Leave(error.what(), begun ? sync.get() : nullptr, begun ? &trainer : nullptr, recorder);
    return false;
  }
}

StallWatch::Options WatchOf(const TrainConfig& config) { return {config.timeout, config.group_size > 1}; }

// Whoever looks on hears of a stall.
std::function<void(const std::string&)> TellOf(const WorkerContext& context) {
  return [tell = context.tell_status](const std::string& line) {
    if (tell) tell(StatusNote{line});
  };
}

// Before anything of the run that is gone on with has changed.
void CheckLength(const TrainConfig& config, const Dataset& data, const ValidationSplit& split) {
  const CheckpointDirectory directory(RunFiles{config.resume}.checkpoints());
  const auto all = directory.Complete();
  if (all.empty()) return;
  std::int64_t step = 0;
  try {
    step = std::stoll(directory.Load(all[0], 0).metadata.at(kStepKey));
  } catch (const std::exception&) {
    return;  // the workers will say what is wrong with it, and use the one before
  }
  const bool in_steps = config.steps > 0;
  const std::int64_t length = in_steps ? config.steps : config.epochs;
  const std::int64_t done =
      in_steps ? step : step / MakeSampler(config, data, split, all[0].world_size, 0).steps_per_epoch();
  if (done >= length) {
    throw UsageError(
        fmt::format("--{} is {}, and the run in {} has a checkpoint of step {}, after as many; give more",
                    in_steps ? "steps" : "epochs", length, config.resume, step));
  }
}

}  // namespace

CheckedRun CheckRun(const TrainConfig& config, const ModelRegistry& models, int world_size) {
  Validate(config);
  CheckGraph(config);
  Dataset data = OpenData(config);
  const auto model = models.Make(config.model, InputOf(data));
  TakeInitialWeights(config, *model);
  const bool on_cpu = config.device.rfind("cuda", 0) != 0;
  if (config.amp != Amp::kNone && on_cpu) CheckAutocast(config.amp, *model, data.shape);
  const ValidationSplit split = SplitOf(config, data);
  MakeSampler(config, data, split, world_size, 0);
  if (!config.resume.empty()) CheckLength(config, data, split);
  std::vector<std::string> warnings = SkippedFiles(data);
  return {std::move(data), std::move(warnings)};
}

void RunWorker(const TrainConfig& config, const WorkerContext& context) {
  const DeviceScope scope(context.device);
  std::optional<StallWatch> watch;  // one for all that are threads
  if (config.backend == Backend::kProcesses || context.comm.rank() == 0)
    watch.emplace(WatchOf(config), TellOf(context));
  ExplainOutOfMemory([&] { Train(config, context, nullptr); });
}

void RunWorkerThrough(Worlds& worlds, const TrainConfig& config, const WorkerContext& context) {
  const DeviceScope scope(context.device);
  const StallWatch watch(WatchOf(config), TellOf(context));
  const Dataset data =
      context.data ? *context.data : OpenData(config);  // before the others wait for this worker
  Survivor survivor(worlds);
  double started = context.started;
  const auto check_stop = [&] {
    if (context.check_stop) context.check_stop();
    if (worlds.ChangeIsDue()) throw CommError("the membership changes");
  };
  ExplainOutOfMemory([&] {
    for (bool done = false; !done; started = MonotonicSeconds()) {
      try {
        done = Train(config,
                     {survivor.comm(), context.models, started, context.tell_status, check_stop, data,
                      context.device, context.commits, worlds.worker()},
                     &survivor);
      } catch (const CommError& error) {
        TrainObserver nobody;
        survivor.Leave(error.what(), nullptr, nullptr, nobody);
      }
    }
  });
}

}  // namespace swarmsync
