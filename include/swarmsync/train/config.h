#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "swarmsync/base/names.h"
#include "swarmsync/comm/link.h"
#include "swarmsync/data/augmenter.h"
#include "swarmsync/data/sharding.h"
#include "swarmsync/report/progress.h"
#include "swarmsync/sync/options.h"
#include "swarmsync/train/schedule.h"

namespace swarmsync {

enum class Backend { kProcesses, kThreads };
template <>
struct EnumNames<Backend> {
  static constexpr std::string_view kWhat = "backend";
  static constexpr std::array<std::pair<Backend, std::string_view>, 2> kNames{
      {{Backend::kProcesses, "processes"}, {Backend::kThreads, "threads"}}};
};

// How ranks that a launcher has started talk.
enum class Transport { kGloo, kMpi };
template <>
struct EnumNames<Transport> {
  static constexpr std::string_view kWhat = "transport";
  static constexpr std::array<std::pair<Transport, std::string_view>, 2> kNames{
      {{Transport::kGloo, "gloo"}, {Transport::kMpi, "mpi"}}};
};

enum class OptimizerKind { kSgd, kAdamW };
template <>
struct EnumNames<OptimizerKind> {
  static constexpr std::string_view kWhat = "optimizer";
  static constexpr std::array<std::pair<OptimizerKind, std::string_view>, 2> kNames{
      {{OptimizerKind::kSgd, "sgd"}, {OptimizerKind::kAdamW, "adamw"}}};
};

// The numbers that forward and backward compute in; the weights and their updates are in float in any case.
enum class Amp { kNone, kBf16 };
template <>
struct EnumNames<Amp> {
  static constexpr std::string_view kWhat = "mixed precision";
  static constexpr std::array<std::pair<Amp, std::string_view>, 2> kNames{
      {{Amp::kNone, "none"}, {Amp::kBf16, "bf16"}}};
};

// How images and the weights of convolutions lie in memory. Automatic: channels last on a GPU with mixed
// precision, whose fast units want them so.
enum class MemoryFormat { kAuto, kContiguous, kChannelsLast };
template <>
struct EnumNames<MemoryFormat> {
  static constexpr std::string_view kWhat = "memory format";
  static constexpr std::array<std::pair<MemoryFormat, std::string_view>, 3> kNames{
      {{MemoryFormat::kAuto, "auto"},
       {MemoryFormat::kContiguous, "contiguous"},
       {MemoryFormat::kChannelsLast, "channels-last"}}};
};

// Whether forward and backward are recorded as a CUDA graph. Automatic: on a GPU, for models whose forward is
// the same each time (ImageClassifier::repeats_itself), as that of all built-in ones is.
enum class CudaGraph { kAuto, kOn, kOff };
template <>
struct EnumNames<CudaGraph> {
  static constexpr std::string_view kWhat = "choice";
  static constexpr std::array<std::pair<CudaGraph, std::string_view>, 3> kNames{
      {{CudaGraph::kAuto, "auto"}, {CudaGraph::kOn, "on"}, {CudaGraph::kOff, "off"}}};
};

// Everything that `swarmsync train` can be told: a member for each flag (train/config_fields.h has their
// names and explanations, and is the only place that lists them).
struct TrainConfig {
  std::string dataset = "mnist";
  std::string data_dir;         // "": DefaultDataDir()
  std::int64_t image_size = 0;  // 0: the size that most images have
  Augmentation augment = Augmentation::kNone;
  std::int64_t loader_threads = 1;
  std::int64_t validation = 0;
  Sharding shard;
  std::vector<double> label_noise;  // by rank; empty: none
  std::string model = "lenet5";
  std::string init;  // a file of the weights to begin with; "": the model's own

  OptimizerKind optimizer = OptimizerKind::kSgd;
  double lr = 0.1;
  std::vector<double> worker_lr;  // by rank; empty: lr for all
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;
  bool decay_all = false;
  Schedule schedule;
  double lr_warmup = 0;  // epochs
  double label_smoothing = 0;
  double clip_grad_norm = 0;
  std::int64_t epochs = 0;  // 0: not given; 5 when steps is not given either
  std::int64_t steps = 0;   // 0: not given
  std::int64_t batch_size = 64;
  std::int64_t accumulate = 1;
  Amp amp = Amp::kNone;

  std::string sync = "pso-ps";
  std::int64_t period = 16;
  std::int64_t sync_warmup_steps = 0;
  PsoOptions swarm;
  Fitness fitness = Fitness::kTrainLoss;
  MomentumAtSync momentum_at_sync = MomentumAtSync::kKeep;
  BuffersAtSync buffers = BuffersAtSync::kAverage;
  Wire wire = Wire::kFp32;
  std::int64_t overlap = 0;       // steps
  std::int64_t group_size = 1;    // workers
  std::int64_t group_period = 0;  // 0: a quarter of the period
  double bucket_mb = 4;           // of gradients, in millions of bytes
  std::int64_t recalibrate = 0;   // mini-batches
  std::optional<double> final_average;
  bool guard = false;
  PeerOptions peers;

  std::int64_t workers = 4;
  Backend backend = Backend::kProcesses;
  std::string device = "auto";
  MemoryFormat memory_format = MemoryFormat::kAuto;
  CudaGraph cuda_graph = CudaGraph::kAuto;
  std::int64_t threads_per_worker = 0;  // 0: the cores divided by the workers, at least 1
  double timeout = 60;
  Transport transport = Transport::kGloo;
  Link link;
  std::int64_t min_workers = 0;  // 0: 1 where the loss of workers can be survived, else all of them
  std::int64_t max_restarts = 3;

  std::uint64_t seed = 0;
  std::string out;  // "": a new directory under runs/
  bool overwrite = false;
  bool trace = false;
  std::int64_t log_every = 50;
  std::int64_t checkpoint_every = 0;  // rounds; 0: never
  std::int64_t check_replicas = 64;   // rounds; 0: never
  std::string resume;                 // the directory of the run to go on with; "": none
  bool quiet = false;
  ProgressStyle progress = ProgressStyle::kAuto;
};

constexpr std::int64_t kDefaultEpochs = 5;

// Checks every value that can be checked without the data. Throws UsageError: flag, value found, values
// allowed.
void Validate(const TrainConfig& config);

// What a synchronizer is told of the configuration: all but what only a worker knows.
SyncOptions SyncOptionsOf(const TrainConfig& config);

// config.json: the flags' names with underscores. Reading throws DataError for what it does not know.
std::string ToJsonText(const TrainConfig& config);
TrainConfig FromJsonText(const std::string& text);

}  // namespace swarmsync
