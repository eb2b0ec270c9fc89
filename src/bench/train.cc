#include "bench/train.h"

#include <fmt/format.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <cmath>
#include <vector>

#include "bench/timing.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/comm/thread_world.h"
#include "swarmsync/data/dataset.h"
#include "swarmsync/data/sampler.h"
#include "swarmsync/report/run_files.h"
#include "swarmsync/train/run_worker.h"
#include "train/torch_seed.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kLearningRate = 0.02;
constexpr std::uint64_t kSeed = 1;

struct Training {
  double samples_per_second;
  double mean_loss;
};

struct Batch {
  at::Tensor images, labels;
};

std::vector<Batch> BatchesOf(const TrainBench& bench, const Dataset& data) {
  ShardedSamplerOptions options;
  options.num_samples = data.train->size();
  options.batch_size = bench.batch_size;
  options.seed = kSeed;
  ShardedSampler sampler(options);
  if (bench.steps > sampler.steps_per_epoch()) {
    throw UsageError(fmt::format("--steps is {}; it must be at most {}, an epoch of {} with batches of {}",
                                 bench.steps, sampler.steps_per_epoch(), bench.dataset, bench.batch_size));
  }
  std::vector<Batch> batches;
  for (std::int64_t step = 0; step < bench.steps; ++step) {
    const ImageShape& shape = data.shape;
    Batch batch{at::empty({bench.batch_size, shape.channels, shape.height, shape.width}),
                at::empty({bench.batch_size}, at::kLong)};
    const SampleIds ids = sampler.Indices(0, step);
    data.train->Fill(ids.data, ids.size, batch.images.data_ptr<float>(),
                     batch.labels.data_ptr<std::int64_t>());
    batches.push_back(batch);
  }
  return batches;
}

Training BareLoop(const TrainBench& bench, const std::vector<Batch>& batches, const Dataset& data,
                  const ModelRegistry& models) {
  torch::manual_seed(TorchSeed(kSeed, 0, Draws::kWeights));
  const auto model =
      models.Make(bench.model, {data.shape.channels, data.shape.height, data.shape.width, data.num_classes});
  torch::optim::SGD optimizer(model->parameters(), kLearningRate);
  model->train();
  at::Tensor losses = at::zeros({}, at::kDouble);
  const double seconds = SecondsOf([&] {
    for (const Batch& batch : batches) {
      optimizer.zero_grad();
      const at::Tensor loss = at::cross_entropy_loss(model->forward(batch.images), batch.labels);
      loss.backward();
      optimizer.step();
      losses += loss.detach();
    }
  });
  const auto steps = static_cast<double>(bench.steps);
  return {steps * static_cast<double>(bench.batch_size) / seconds, losses.item<double>() / steps};
}

Training OurLoop(const TrainBench& bench, const Dataset& data, const ModelRegistry& models) {
  const PrivateDirectory out;
  TrainConfig config;
  config.dataset = bench.dataset;
  config.data_dir = bench.data_dir;
  config.model = bench.model;
  config.sync = "average";
  config.workers = 1;
  config.backend = Backend::kThreads;
  config.device = "cpu";
  config.lr = kLearningRate;
  config.seed = kSeed;
  config.steps = bench.steps;
  config.batch_size = bench.batch_size;
  config.threads_per_worker = bench.threads;
  config.out = out.path().string();
  const auto comm = ThreadWorld(1).Connect(0);
  WorkerContext context{*comm, models, MonotonicSeconds(), {}, {}, data};
  RunWorker(config, context);
  const Json summary = Json::parse(ReadFile(RunFiles{config.out}.summary()));
  return {summary.at("samples_per_second"), summary.at("train_loss")};
}

}  // namespace

Json RunTrainBench(const TrainBench& bench, const ModelRegistry& models) {
  UseThreads(static_cast<int>(bench.threads));
  const std::filesystem::path data_dir =
      bench.data_dir.empty() ? DefaultDataDir() : std::filesystem::path(bench.data_dir);
  const Dataset data = OpenDataset(bench.dataset, data_dir);
  const std::vector<Batch> batches = BatchesOf(bench, data);
  std::vector<double> ours, bare, ratios;
  for (std::int64_t i = 0; i < bench.repetitions; ++i) {
    const Training one = OurLoop(bench, data, models), other = BareLoop(bench, batches, data, models);
    if (!(std::abs(one.mean_loss - other.mean_loss) <= 0.01 * other.mean_loss)) {
      throw RunError(fmt::format("the two loops do not train alike: their mean losses are {:g} and {:g}",
                                 one.mean_loss, other.mean_loss));
    }
    ours.push_back(one.samples_per_second);
    bare.push_back(other.samples_per_second);
    ratios.push_back(one.samples_per_second / other.samples_per_second);
  }
  return {{"bench", "train"},
          {"dataset", bench.dataset},
          {"model", bench.model},
          {"batch_size", bench.batch_size},
          {"steps", bench.steps},
          {"repetitions", bench.repetitions},
          {"threads", bench.threads},
          {"samples_per_second", Median(ours)},
          {"bare_loop_samples_per_second", Median(bare)},
          {"to_bare_loop", Median(ratios)},
          {"libtorch", TORCH_VERSION}};
}

}  // namespace swarmsync
