#include "train/run_plan.h"

#include <torch/torch.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "comm/echo_communicator.h"
#include "params/memory_meter.h"
#include "swarmsync/comm/counting_communicator.h"
#include "swarmsync/data/augmenter.h"
#include "swarmsync/sync/synchronizer.h"
#include "swarmsync/train/evaluate.h"
#include "swarmsync/train/model_file.h"
#include "swarmsync/train/trainer.h"
#include "train/autocast.h"
#include "train/optimizer.h"
#include "train/worker_parts.h"

namespace swarmsync {
namespace {

// Bytes that a rank sends for one of each.
struct Costs {
  double gradients = 0;      // an exchange of gradients
  double group_average = 0;  // an average within a group
  double first_round = 0;    // an exchange of weights, with a guide that is new
  double later_round = 0;    // with one that is not
};

std::int64_t RoundUp(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// A worker in a world of its own making, whose rounds are of two steps.
class LoneWorker {
 public:
  LoneWorker(const TrainConfig& config, const ModelRegistry& models, const Dataset& data,
             const ValidationSplit& split, bool commits, int rank)
      : config_(config),
        data_(data),
        validation_(split.validation),
        sampler_(MakeSampler(config, data, split, static_cast<int>(config.workers), rank)),
        echo_(rank, static_cast<int>(config.workers), static_cast<int>(config.group_size)),
        counted_(echo_, static_cast<int>(config.group_size)),
        augmenter_(config.augment, data.shape, data.normalization, config.seed) {
    model_ = models.Make(config.model, InputOf(data));
    params_ = std::make_unique<FlatParams>(*model_);
    memory_.model = Taken();
    optimizer_ = MakeOptimizer(config, 0, *params_);
    optimizer_->step();  // makes its state
    memory_.optimizer = Taken();
    SyncOptions options = SyncOptionsOf(config);
    options.period = 2;
    options.group_period = 1;
    options.overlap = std::min<std::int64_t>(1, config.overlap);
    options.warmup_steps = WarmsUp() ? 1 : 0;
    options.total_steps = 100;  // more than are made here
    options.commit = commits;
    options.trace = true;
    options.probe = [this] { return fitness_; };
    sync_ = MakeSynchronizer(config.sync, *params_, counted_, options);
    memory_.synchronizer = Taken();
    TrainerOptions trainer_options;
    trainer_options.loader_threads = config.loader_threads;
    const SampleIds validation{validation_.data(), static_cast<std::int64_t>(validation_.size())};
    trainer_ = std::make_unique<Trainer>(TrainerParts{*model_, *params_, *optimizer_, *sync_, echo_, data_,
                                                      sampler_, augmenter_, *data.train, validation},
                                         std::move(trainer_options));
    memory_.trainer = Taken();
  }

  Costs TakeSteps() {
    Costs costs;
    fitness_ = 1;
    if (OnlyGradients() || WarmsUp()) costs.gradients = Step();
    if (OnlyGradients()) return costs;
    costs.group_average = Step();
    costs.first_round = Step() + Step() - 2 * costs.group_average;  // the momentum may follow a step later
    fitness_ = 1000;
    costs.later_round = Step() + Step() - 2 * costs.group_average;
    return costs;
  }

  void EvaluateSome() {
    std::vector<std::int64_t> ids(
        static_cast<std::size_t>(std::min(kEvaluationBatch, RoundUp(data_.test->size(), config_.workers))));
    Taken();
    meter_.ForgetPeak();
    EchoCommunicator alone(0, 1, 1);
    Evaluate(*model_, *data_.test, {ids.data(), static_cast<std::int64_t>(ids.size())}, alone);
    memory_.evaluation = meter_.peak() - held_;
  }

  MemoryPlan memory() const { return memory_; }
  std::int64_t parameters() const { return params_->num_params(); }

 private:
  bool OnlyGradients() const { return config_.sync == "ssgd"; }
  bool WarmsUp() const { return config_.sync_warmup_steps > 0 && !OnlyGradients(); }

  // Bytes of tensors that came since the last call.
  std::int64_t Taken() {
    const std::int64_t before = held_;
    held_ = meter_.held();
    return held_ - before;
  }

  // One mini-batch of empty images. Returns the bytes that it sent.
  double Step() {
    const double before = counted_.sent().all;
    Taken();
    meter_.ForgetPeak();
    const std::int64_t part = RoundUp(config_.batch_size, config_.accumulate);
    {
      const auto images = at::zeros({part, data_.shape.channels, data_.shape.height, data_.shape.width});
      at::Tensor loss;
      {
        const Autocast autocast(config_.amp, at::kCPU);
        loss = at::cross_entropy_loss(model_->forward(images).to(at::kFloat), at::zeros({part}, at::kLong));
      }
      params_->ZeroGrad();
      sync_->ExpectGradients();
      loss.backward();
    }
    memory_.step = std::max(memory_.step, meter_.peak() - held_);
    sync_->Step(*optimizer_, at::scalar_tensor(fitness_));
    sync_->Drain();
    memory_.synchronizer += Taken();
    const bool between_processes = config_.backend == Backend::kProcesses && config_.workers > 1;
    memory_.transport = between_processes ? echo_.largest_sum() : 0;
    return counted_.sent().all - before;
  }

  MemoryMeter meter_;  // outlives what it counts
  const TrainConfig& config_;
  const Dataset& data_;
  std::vector<std::int64_t> validation_;
  ShardedSampler sampler_;
  EchoCommunicator echo_;
  CountingCommunicator counted_;
  Augmenter augmenter_;
  std::int64_t held_ = 0;
  MemoryPlan memory_;
  double fitness_ = 0;
  std::shared_ptr<ImageClassifier> model_;
  std::unique_ptr<FlatParams> params_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  std::unique_ptr<Synchronizer> sync_;
  std::unique_ptr<Trainer> trainer_;
};

std::int64_t BytesOf(const ImageSet& set) {
  return set.size() * (set.shape().num_pixels() + 1);  // a byte for each pixel, and for the label
}

}  // namespace

RunPlan PlanRun(const TrainConfig& config, const ModelRegistry& models, const Dataset& data, bool commits) {
  RunPlan plan;
  const int workers = static_cast<int>(config.workers), group = static_cast<int>(config.group_size);
  const ValidationSplit split = SplitOf(config, data);
  const ShardedSampler sampler = MakeSampler(config, data, split, workers, 0);
  plan.train_samples = static_cast<std::int64_t>(split.train.size());
  plan.validation_samples = static_cast<std::int64_t>(split.validation.size());
  plan.test_samples = data.test->size();
  plan.samples_per_worker = plan.train_samples / workers;
  plan.steps_per_epoch = sampler.steps_per_epoch();
  plan.total_steps = TotalSteps(config, sampler);
  plan.gradient_exchanges =
      config.sync == "ssgd" ? plan.total_steps : std::min(plan.total_steps, config.sync_warmup_steps);
  const std::int64_t every = config.group_period > 0 ? config.group_period : config.period;
  const auto add_rounds = [&](std::int64_t number, std::int64_t length) {
    plan.rounds += number;
    if (group > 1) plan.group_averages += number * RoundUp(length, every);
  };
  const std::vector<std::int64_t> ends = RoundEndsOf(config, sampler);
  std::int64_t begin = plan.gradient_exchanges;
  for (const std::int64_t end : ends) {
    if (end > begin) add_rounds(1, end - std::exchange(begin, end));
  }
  if (ends.empty()) {
    const std::int64_t steps = plan.total_steps - begin;
    add_rounds(steps / config.period, config.period);
    if (steps % config.period > 0) add_rounds(1, steps % config.period);
  }

  // The last group's leader, who speaks for it, and another member.
  const int leader = workers - group;
  double others = workers == 1 ? 0 : group - 1;  // for each leader
  for (int rank = leader; rank < leader + std::min(group, 2); ++rank) {
    const bool leads = rank == leader;
    const bool alone = group > 1 && leads && workers == group;  // with nobody to speak to, it does as they do
    if (alone) {
      others = group;
      continue;
    }
    LoneWorker worker(config, models, data, split, commits, rank);
    const Costs costs = worker.TakeSteps();
    worker.EvaluateSome();
    const double part = (leads ? 1 : others) / group;
    const double steady = static_cast<double>(plan.gradient_exchanges) * costs.gradients +
                          static_cast<double>(plan.group_averages) * costs.group_average;
    const auto rounds = static_cast<double>(plan.rounds);
    plan.most_bytes += part * (steady + rounds * costs.first_round);
    plan.least_bytes += part * (steady + std::min(1.0, rounds) * costs.first_round +
                                std::max(0.0, rounds - 1) * costs.later_round);
    plan.parameters = worker.parameters();
    if (worker.memory().of_tensors() > plan.memory.of_tensors()) plan.memory = worker.memory();
  }
  plan.memory.data = BytesOf(*data.train) + BytesOf(*data.test);
  return plan;
}

}  // namespace swarmsync
