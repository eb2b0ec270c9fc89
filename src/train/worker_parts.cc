#include "train/worker_parts.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "swarmsync/data/sharding.h"
#include "swarmsync/sync/round_ends.h"
#include "train/device.h"
#include "train/device_batches.h"

namespace swarmsync {
namespace {

constexpr std::uint64_t kValidationSeed =
    0;  // the same samples are held out in all runs, so that runs compare
constexpr std::int64_t kProbeSize = 512;

std::filesystem::path DataDir(const TrainConfig& config) {
  return config.data_dir.empty() ? DefaultDataDir() : std::filesystem::path(config.data_dir);
}

bool RecordsGraph(const TrainConfig& config, const at::Device& device, const ImageClassifier& model) {
  if (config.cuda_graph != CudaGraph::kAuto) return config.cuda_graph == CudaGraph::kOn;
  return device.is_cuda() && model.repeats_itself() && !SharesStreams(config);
}

// The learning rate's factor by step, from 1.
std::function<double(std::int64_t)> FactorOf(const TrainConfig& config, double warmup,
                                             const ShardedSampler& sampler) {
  return [schedule = config.schedule, warmup, steps_per_epoch = sampler.steps_per_epoch(),
          total_steps = TotalSteps(config, sampler)](std::int64_t step) {
    return LearningRateFactorOfStep(schedule, warmup, step, steps_per_epoch, total_steps);
  };
}

}  // namespace

Dataset OpenData(const TrainConfig& config) {
  DatasetOptions options;
  if (config.image_size > 0) options.shape = ImageShape{3, config.image_size, config.image_size};
  return OpenDataset(config.dataset, DataDir(config), options);
}

ValidationSplit SplitOf(const TrainConfig& config, const Dataset& data) {
  return SplitForValidation(data.train->size(), config.validation, kValidationSeed);
}

ShardedSampler MakeSampler(const TrainConfig& config, const Dataset& data, const ValidationSplit& split,
                           int world_size, int rank) {
  ShardedSamplerOptions options;
  options.batch_size = config.batch_size;
  options.seed = config.seed;
  if (const double alpha = config.shard.skew_alpha; alpha > 0) {
    const auto shards =
        ShardByLabel(*data.train, split.train, data.num_classes, world_size, alpha, config.seed);
    options.sample_ids = shards[static_cast<std::size_t>(rank)];  // a worker's own, so a world of one
  } else {
    options.sample_ids = split.train;
    options.world_size = world_size;
    options.rank = rank;
  }
  return ShardedSampler(std::move(options));
}

double LearningRate(const TrainConfig& config, int rank) {
  return config.worker_lr.empty() ? config.lr : config.worker_lr[static_cast<std::size_t>(rank)];
}

std::int64_t TotalSteps(const TrainConfig& config, const ShardedSampler& sampler) {
  if (config.steps > 0) return config.steps;
  return (config.epochs > 0 ? config.epochs : kDefaultEpochs) * sampler.steps_per_epoch();
}

std::function<double(std::int64_t)> RateOf(const TrainConfig& config, const ShardedSampler& sampler) {
  const bool constant = config.schedule.kind == Schedule::Kind::kConstant && config.lr_warmup == 0;
  if (constant) return {};
  return FactorOf(config, config.lr_warmup, sampler);
}

// Not of the learning rate while it warms up: it is low there because the weights would move too fast.
std::vector<std::int64_t> RoundEndsOf(const TrainConfig& config, const ShardedSampler& sampler) {
  RoundSpread spread;
  spread.first = config.sync_warmup_steps;
  spread.last = TotalSteps(config, sampler);
  if (config.period_by_lr == 0 || spread.last <= spread.first) return {};
  spread.period = config.period;
  spread.shortest = config.overlap + 1;
  const auto rate = FactorOf(config, /*warmup=*/0, sampler);
  const auto spread_ends =
      SpreadRounds(spread, [&](std::int64_t step) { return std::pow(rate(step), config.period_by_lr); });
  // Where the world changes, the warm-up is over at another step.
  std::vector<std::int64_t> ends;
  for (std::int64_t end = config.period; end < spread.first; end += config.period) ends.push_back(end);
  if (spread.first > 0) ends.push_back(spread.first);
  ends.insert(ends.end(), spread_ends.begin(), spread_ends.end());
  return ends;
}

at::MemoryFormat FormatOf(const TrainConfig& config, const at::Device& device) {
  const bool automatic = config.memory_format == MemoryFormat::kAuto;
  const bool channels_last = automatic ? !device.is_cpu() && config.amp != Amp::kNone
                                       : config.memory_format == MemoryFormat::kChannelsLast;
  return channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

bool SharesStreams(const TrainConfig& config) {
  return config.backend == Backend::kThreads && config.workers > DeviceScope::kStreams;
}

Recipe RecipeOf(const TrainConfig& config, int rank, const at::Device& device, const ImageClassifier& model) {
  return {LearningRate(config, rank), config.schedule,
          config.lr_warmup,           config.label_smoothing,
          config.accumulate,          config.amp,
          FormatOf(config, device),   RecordsGraph(config, device, model)};
}

std::function<double()> MakeProbe(ImageClassifier& model, const ImageSet& set, const ValidationSplit& split) {
  const auto size = std::min<std::int64_t>(kProbeSize, static_cast<std::int64_t>(split.train.size()));
  // Evenly spread, for data whose order means something.
  std::vector<std::int64_t> ids;
  for (std::int64_t i = 0; i < size; ++i) {
    ids.push_back(
        split.train[static_cast<std::size_t>(i) * split.train.size() / static_cast<std::size_t>(size)]);
  }
  DeviceBatches batches(1, size, set.shape(), DeviceOf(model));
  const BatchMemory host = batches.host(0);
  set.Fill(ids.data(), size, host.images, host.labels);
  const DeviceBatches::Batch batch = batches.Bring(0, size);
  return [&model, batch] {
    torch::NoGradGuard no_grad;
    const bool was_training = model.is_training();
    model.eval();
    const double loss = at::cross_entropy_loss(model.forward(batch.images), batch.labels).item<double>();
    model.train(was_training);
    return loss;
  };
}

}  // namespace swarmsync
