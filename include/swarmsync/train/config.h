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

// What the workers of one machine are: processes that the tool starts, or threads of it.
enum class Backend { kProcesses, kThreads };
template <>
struct EnumNames<Backend> {
  static constexpr std::string_view kWhat = "backend";
  static constexpr std::array<std::pair<Backend, std::string_view>, 2> kNames{
      {{Backend::kProcesses, "processes"}, {Backend::kThreads, "threads"}}};
};

// How ranks that a launcher has started talk: through ConnectFromEnvironment(), or an MPI (comm/mpi.h).
enum class Transport { kGloo, kMpi };
template <>
struct EnumNames<Transport> {
  static constexpr std::string_view kWhat = "transport";
  static constexpr std::array<std::pair<Transport, std::string_view>, 2> kNames{
      {{Transport::kGloo, "gloo"}, {Transport::kMpi, "mpi"}}};
};

// The local optimizer: SGD, with or without momentum, or AdamW.
enum class OptimizerKind { kSgd, kAdamW };
template <>
struct EnumNames<OptimizerKind> {
  static constexpr std::string_view kWhat = "optimizer";
  static constexpr std::array<std::pair<OptimizerKind, std::string_view>, 2> kNames{
      {{OptimizerKind::kSgd, "sgd"}, {OptimizerKind::kAdamW, "adamw"}}};
};

// Mixed precision: whether forward and backward compute in float or, where that does no harm, in bfloat16.
// The weights and their updates are in float in any case.
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
// the same each time (ImageClassifier::repeats_itself), as that of all built-in ones is; not for so many
// threads that they would have to share streams.
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
  std::string dataset = "mnist";               // as OpenDataset() takes it
  std::string data_dir;                        // "": DefaultDataDir()
  std::int64_t image_size = 0;                 // 0: the size that most images have
  Augmentation augment = Augmentation::kNone;  // of the training images
  std::int64_t loader_threads = 1;  // of each worker, that read mini-batches ahead; 0: none reads ahead
  std::int64_t validation = 0;      // training samples to hold out and evaluate on
  Sharding shard;                   // of the training samples
  std::vector<double> label_noise;  // by rank, the part of its labels that is drawn at random; empty: none
  std::string model = "lenet5";     // as ModelRegistry::Make() takes it
  std::string init;                 // a file of the weights to begin with; "": the model's own

  OptimizerKind optimizer = OptimizerKind::kSgd;  // of each worker
  double lr = 0.1;                                // learning rate, at least 0
  std::vector<double> worker_lr;                  // by rank; empty: lr for all
  double momentum = 0;                            // of SGD, in [0, 1)
  bool nesterov = false;                          // that momentum is Nesterov's
  double weight_decay = 0;                        // of parameters of two dimensions or more; at least 0
  bool decay_all = false;                         // of all parameters, biases and BatchNorm's too
  Schedule schedule;                              // of the learning rate
  double lr_warmup = 0;                           // epochs in which the learning rate rises from 0
  double label_smoothing = 0;    // in [0, 1): the part of a label that is spread over all classes
  double clip_grad_norm = 0;     // greatest norm of the gradient; 0: any
  std::int64_t epochs = 0;       // 0: not given; 5 when steps is not given either
  std::int64_t steps = 0;        // 0: not given
  std::int64_t batch_size = 64;  // samples in a mini-batch of one worker
  std::int64_t accumulate = 1;   // parts that a mini-batch goes through the model in, 1 to batch_size
  Amp amp = Amp::kNone;          // of forward and backward

  std::string sync = "pso-ps";            // one of SynchronizerNames()
  std::int64_t period = 16;               // local steps between two exchanges; no part for ssgd
  double period_by_lr = 0;                // power of the learning rate that rounds follow; 0: all are alike
  std::int64_t sync_warmup_steps = 0;     // that exchange gradients, before the rounds begin
  PsoOptions swarm;                       // of pso-ps, informed-pso-ps and leader
  Fitness fitness = Fitness::kTrainLoss;  // what a worker's fitness is
  MomentumAtSync momentum_at_sync = MomentumAtSync::kKeep;  // of the optimizer's state
  BuffersAtSync buffers = BuffersAtSync::kAverage;          // of BatchNorm's statistics
  Wire wire = Wire::kFp32;                                  // of weights and gradients
  std::int64_t overlap = 0;                                 // steps that are made beside an exchange; 0: none
  std::int64_t group_size = 1;                              // workers that are one for the synchronizer
  std::int64_t group_period = 0;        // steps between their own averages; 0: a quarter of the period
  double bucket_mb = 4;                 // of gradients, in millions of bytes
  std::int64_t recalibrate = 0;         // mini-batches that renew the final model's statistics; 0: none
  std::optional<double> final_average;  // SyncOptions::final_average
  bool guard = false;                   // leave workers that are far out, out (swarm/guard.h)
  PeerOptions peers;                    // of easgd, slowmo and diloco

  std::int64_t workers = 4;               // to start, 1 to 4096; under a launcher its number of ranks
  Backend backend = Backend::kProcesses;  // of those that are started
  std::string device = "auto";            // or cpu, cuda, cuda:I
  MemoryFormat memory_format = MemoryFormat::kAuto;  // of images and convolutions
  CudaGraph cuda_graph = CudaGraph::kAuto;           // of forward and backward
  std::int64_t threads_per_worker = 0;               // 0: the cores divided by the workers, at least 1
  double timeout = 60;                     // seconds, of any wait for another worker; above 0, at most 10^6
  Transport transport = Transport::kGloo;  // of launched ranks
  Link link;                               // to emulate; by default none
  std::int64_t min_workers = 0;            // 0: 1 where the loss of workers can be survived, else all of them
  std::int64_t max_restarts = 3;           // of lost workers, in the whole run

  std::uint64_t seed = 0;             // of weights, order of the data and the swarm
  std::string out;                    // "": a new directory under runs/
  bool overwrite = false;             // replace an earlier run in `out`
  bool trace = false;                 // write trace.json: what each worker did when
  std::int64_t log_every = 50;        // steps between two records of the loss, at least 1
  std::int64_t checkpoint_every = 0;  // rounds from one checkpoint to the next; 0: none is written
  std::int64_t check_replicas = 64;   // rounds between two comparisons of what all hold alike; 0: none
  std::string resume;                 // the directory of the run to go on with; "": none
  bool quiet = false;                 // print nothing but errors
  ProgressStyle progress = ProgressStyle::kAuto;  // how it is shown
};

// The length of a training for which neither epochs nor steps are given.
constexpr std::int64_t kDefaultEpochs = 5;

// Checks every value that can be checked without the data. Throws UsageError: flag, value found, values
// allowed.
void Validate(const TrainConfig& config);

// What a synchronizer is told of the configuration: all but what only a worker knows.
SyncOptions SyncOptionsOf(const TrainConfig& config);

// The text of config.json: a member for each flag, whose name has underscores in place of dashes.
std::string ToJsonText(const TrainConfig& config);
// What such a text says; what it does not name has its default. Throws DataError for what it does not know.
TrainConfig FromJsonText(const std::string& text);

}  // namespace swarmsync
