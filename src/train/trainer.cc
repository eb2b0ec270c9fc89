#include "swarmsync/train/trainer.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"
#include "train/shared_clock.h"

namespace swarmsync {
namespace {

constexpr double kProgressSeconds = 0.1;

SampleIds ViewOf(const std::vector<std::int64_t>& ids) {
  return {ids.data(), static_cast<std::int64_t>(ids.size())};
}

}  // namespace

Trainer::Trainer(ImageClassifier& model, FlatParams& params, torch::optim::Optimizer& optimizer,
                 Synchronizer& sync, Communicator& comm, const Dataset& data, ShardedSampler& sampler,
                 const ImageSet& validation_set, std::vector<std::int64_t> validation_ids,
                 TrainerOptions options)
    : model_(model),
      params_(params),
      optimizer_(optimizer),
      sync_(sync),
      comm_(comm),
      data_(data),
      sampler_(sampler),
      validation_set_(validation_set),
      validation_ids_(std::move(validation_ids)),
      test_ids_(static_cast<std::size_t>(data.test->size())),
      options_(options),
      images_(at::empty({sampler.batch_size(), data.shape.channels, data.shape.height, data.shape.width})),
      labels_(at::empty({sampler.batch_size()}, at::kLong)),
      final_weights_(params.NewState()),
      own_weights_(params.NewState()) {
  std::iota(test_ids_.begin(), test_ids_.end(), 0);
}

TrainResult Trainer::Run(TrainObserver& observer) {
  LapTimer timer;
  clock_offset_ = ClockOffset(comm_);
  ledger_.setup += timer.Lap();
  const std::int64_t steps_per_epoch = sampler_.steps_per_epoch();
  const std::int64_t num_epochs = (options_.total_steps + steps_per_epoch - 1) / steps_per_epoch;
  started_ = MonotonicSeconds();
  TrainObserver::Epoch record;
  TrainResult result;
  for (std::int64_t epoch = 0; epoch < num_epochs; ++epoch) {
    const double bytes_before = options_.bytes_sent();
    const double train_loss = TrainEpoch(epoch, observer);
    result.bytes_sent += options_.bytes_sent() - bytes_before;
    timer.Lap();
    record = EvaluateEpoch(epoch, train_loss, epoch + 1 == num_epochs);
    observer.OnEpoch(record);
    ledger_.evaluate += timer.Lap();
  }
  const double seconds = MonotonicSeconds() - started_ - ledger_.evaluate;

  params_.weights().copy_(final_weights_);
  result.epochs = static_cast<double>(options_.total_steps) / static_cast<double>(steps_per_epoch);
  result.train_loss = record.train_loss;
  result.test = *record.test;
  result.validation = record.validation;
  result.ledger = ledger_;
  result.samples_per_second =
      static_cast<double>(options_.total_steps * sampler_.batch_size() * comm_.size()) / seconds;
  return result;
}

// The steps of one epoch. Returns the mean mini-batch loss over all workers.
double Trainer::TrainEpoch(std::int64_t epoch, TrainObserver& observer) {
  const std::int64_t steps = std::min(sampler_.steps_per_epoch(), options_.total_steps - sync_.steps());
  LossSum epoch_loss, logged_loss;
  double last_progress = 0;
  LapTimer timer;
  for (std::int64_t step = 0; step < steps; ++step) {
    observer.CheckStop();
    const SampleIds ids = sampler_.Indices(epoch, step);
    data_.train->Fill(ids.data, ids.size, images_.data_ptr<float>(), labels_.data_ptr<std::int64_t>());
    ledger_.data += timer.Lap();

    const std::int64_t rounds_before = sync_.rounds();
    const double bytes_before = options_.bytes_sent();
    params_.ZeroGrad();
    const at::Tensor loss = at::cross_entropy_loss(model_.forward(images_), labels_);
    loss.backward();
    sync_.Step(optimizer_, loss);
    epoch_loss.Add(loss);
    logged_loss.Add(loss);
    double in_exchange = 0;
    for (const SyncSpan& span : sync_.TakeSpans()) {
      in_exchange += span.seconds;
      spans_.push_back(span);
    }
    in_exchanges_ += in_exchange;

    if (sync_.rounds() != rounds_before) {
      round_bytes_.push_back(options_.bytes_sent() - bytes_before);
    }
    const bool last = sync_.steps() == options_.total_steps;
    if (last || MonotonicSeconds() - last_progress > kProgressSeconds) {
      last_progress = MonotonicSeconds();
      observer.OnProgress(MakeProgress(logged_loss.Mean()));
    }
    if (sync_.steps() % options_.log_every == 0) {
      const double epochs_done =
          static_cast<double>(sync_.steps()) / static_cast<double>(sampler_.steps_per_epoch());
      observer.OnLoss(sync_.steps(), epochs_done, logged_loss.Mean());
      logged_loss = LossSum();
    }
    ledger_.compute += timer.Lap() - in_exchange;
  }
  const double mean_loss = SettleAccounts(epoch_loss);
  timer.Lap();
  TellRounds(observer);
  ledger_.evaluate += timer.Lap();
  return mean_loss;
}

// Puts together what the workers saw of the rounds of an epoch.
void Trainer::TellRounds(TrainObserver& observer) {
  static_assert(std::is_trivially_copyable_v<RoundTrace>);
  const std::vector<RoundTrace> mine = sync_.TakeTraces();
  std::vector<RoundTrace> all(mine.size() * static_cast<std::size_t>(comm_.size()));
  comm_.AllGatherBytes(mine.data(), mine.size() * sizeof(RoundTrace), all.data());
  // Exchanges of gradients, during a warm-up, leave no traces.
  const std::size_t first = round_bytes_.size() - mine.size();
  for (std::size_t k = 0; k < mine.size(); ++k) {
    std::vector<RoundTrace> traces;
    for (std::size_t at = k; at < all.size(); at += mine.size()) traces.push_back(all[at]);
    const double epoch = static_cast<double>(mine[k].step) / static_cast<double>(sampler_.steps_per_epoch());
    observer.OnRound(rounds_.Combine(traces), epoch, round_bytes_[first + k]);
  }
  round_bytes_.clear();
}

// Waits for the others, divides the time in exchanges into work and waiting, and returns the mean mini-batch
// loss of the epoch over all workers. Throws RunError when no worker's loss is finite.
double Trainer::SettleAccounts(const LossSum& epoch_loss) {
  LapTimer timer;
  comm_.Barrier();
  ledger_.wait += timer.Lap();

  std::vector<double> mine{epoch_loss.Mean()};
  for (SyncSpan& span : spans_) mine.push_back(span.arrival += clock_offset_);
  const std::vector<double> all = comm_.AllGather(mine);
  std::vector<double> last_arrivals(spans_.size());
  double loss = 0;
  int finite = 0;
  for (int rank = 0; rank < comm_.size(); ++rank) {
    const double* theirs = all.data() + rank * mine.size();
    loss += theirs[0] / comm_.size();
    if (std::isfinite(theirs[0])) ++finite;
    for (std::size_t k = 0; k < spans_.size(); ++k)
      last_arrivals[k] = std::max(last_arrivals[k], theirs[k + 1]);
  }
  const WaitingSplit split = SplitWaiting(spans_, last_arrivals);
  ledger_.sync += split.sync;
  ledger_.wait += split.wait;
  spans_.clear();
  ledger_.evaluate += timer.Lap();

  if (finite == 0) {
    throw RunError(
        fmt::format("training diverged on all workers: the mean loss of the epoch that ended at step {} is "
                    "{}; lower the learning rate",
                    sync_.steps(), loss));
  }
  return loss;
}

// Evaluates the model as the synchronizer would leave it now, then puts the worker's own weights back.
TrainObserver::Epoch Trainer::EvaluateEpoch(std::int64_t epoch, double train_loss, bool last) {
  TrainObserver::Epoch record;
  record.step = sync_.steps();
  record.epoch =
      std::min(static_cast<double>(epoch + 1),
               static_cast<double>(sync_.steps()) / static_cast<double>(sampler_.steps_per_epoch()));
  record.train_loss = train_loss;

  torch::NoGradGuard no_grad;
  sync_.WriteFinalModel(final_weights_);
  own_weights_.copy_(params_.weights());
  params_.weights().copy_(final_weights_);
  if (!validation_ids_.empty())
    record.validation = Evaluate(model_, validation_set_, ViewOf(validation_ids_), comm_);
  if (last || validation_ids_.empty()) record.test = Evaluate(model_, *data_.test, ViewOf(test_ids_), comm_);
  params_.weights().copy_(own_weights_);
  return record;
}

Progress Trainer::MakeProgress(double loss) const {
  Progress progress;
  progress.step = sync_.steps();
  progress.total_steps = options_.total_steps;
  const auto steps_per_epoch = static_cast<double>(sampler_.steps_per_epoch());
  progress.epoch = static_cast<double>(sync_.steps()) / steps_per_epoch;
  progress.epochs = static_cast<double>(options_.total_steps) / steps_per_epoch;
  progress.loss = loss;
  const double elapsed = MonotonicSeconds() - started_;
  progress.samples_per_second = static_cast<double>(sync_.steps() * sampler_.batch_size() * comm_.size()) /
                                (elapsed - ledger_.evaluate);
  progress.exchange_share = in_exchanges_ / elapsed;
  progress.seconds_left = elapsed / static_cast<double>(sync_.steps()) *
                          static_cast<double>(options_.total_steps - sync_.steps());
  return progress;
}

}  // namespace swarmsync
