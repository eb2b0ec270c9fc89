#include "swarmsync/train/trainer.h"

#include <fmt/format.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"
#include "train/autocast.h"
#include "train/checkpointer.h"
#include "train/device_batches.h"
#include "train/renew_statistics.h"
#include "train/replicas.h"
#include "train/shared_clock.h"
#include "train/step_graph.h"

namespace swarmsync {
namespace {

constexpr double kProgressSeconds = 0.1;
constexpr double kNoSteps = -1;         // for a mean loss
constexpr double kShortestSpan = 1e-5;  // seconds; what is shorter cannot be seen in a trace
constexpr std::int64_t kReadAhead = 3;  // mini-batches, beside one for each thread that reads

// The next multiple of `every`; 0 when there is none.
std::int64_t NextMultiple(std::int64_t after, std::int64_t every) {
  return every > 0 ? (after / every + 1) * every : 0;
}

SampleIds ViewOf(const std::vector<std::int64_t>& ids) {
  return {ids.data(), static_cast<std::int64_t>(ids.size())};
}

// Puts gradients into their parameters' own, or adds them to those; what is undefined is zero. In lists,
// which a GPU takes in few kernels: backward() would have one for each parameter, and another to begin at
// zero.
enum class Taking { kPut, kAdd };
void TakeGradients(const std::vector<at::Tensor>& parameters, const std::vector<at::Tensor>& gradients,
                   Taking taking) {
  torch::NoGradGuard no_grad;
  std::vector<at::Tensor> from, to;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (gradients[i].defined()) {
      from.push_back(gradients[i]);
      to.push_back(parameters[i].grad());
    } else if (taking == Taking::kPut) {
      parameters[i].grad().zero_();
    }
  }
  if (taking == Taking::kAdd) return at::_foreach_add_(to, from);
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 1)
  at::_foreach_copy_(to, from);
#else
  for (std::size_t i = 0; i < to.size(); ++i) to[i].copy_(from[i]);
#endif
}

}  // namespace

Trainer::Trainer(const TrainerParts& parts, TrainerOptions options)
    : parts_(parts),
      options_(std::move(options)),
      test_ids_(static_cast<std::size_t>(parts.data.test->size())),
      command_started_(options_.command_started),
      calibration_sampler_(parts.sampler),
      final_weights_(parts.params.NewState()),
      final_buffers_(at::zeros_like(parts.params.buffers())),
      own_weights_(parts.params.NewState()),
      own_buffers_(at::zeros_like(parts.params.buffers())) {
  std::iota(test_ids_.begin(), test_ids_.end(), 0);
  for (const at::Tensor& parameter : parts.model.parameters()) {
    if (parameter.requires_grad()) trained_.push_back(parameter);
  }
  const std::int64_t places = options_.loader_threads == 0 ? 1 : options_.loader_threads + kReadAhead;
  batches_ = std::make_unique<DeviceBatches>(places, parts.sampler.batch_size(), parts.data.shape,
                                             parts.params.weights().device(), options_.recipe.format);
  if (options_.recipe.cuda_graph) graph_ = std::make_unique<StepGraph>([this] { return Backward(); });
}

Trainer::~Trainer() = default;

TrainResult Trainer::Run(TrainObserver& observer) {
  clock_offset_ = ClockOffset(parts_.comm);
  if (options_.checkpoint_every > 0) MakeCheckpointer(observer);
  next_check_ = NextMultiple(parts_.sync.rounds(), options_.check_replicas);
  next_checkpoint_ = NextMultiple(parts_.sync.rounds(), options_.checkpoint_every);
  LapTimer timer;
  round_began_ = MonotonicSeconds() + clock_offset_;
  ledger_.setup += round_began_ - clock_offset_ - options_.command_started;
  Tell({TraceSpan::Lane::kTraining, "setup", options_.command_started + clock_offset_, round_began_, {}},
       observer);
  const std::int64_t steps_per_epoch = parts_.sampler.steps_per_epoch();
  const std::int64_t num_epochs = (options_.total_steps + steps_per_epoch - 1) / steps_per_epoch;
  loader_ = std::make_unique<BatchLoader>(*parts_.data.train, parts_.sampler, parts_.augmenter,
                                          options_.total_steps, batches_->hosts(),
                                          static_cast<int>(options_.loader_threads), parts_.sync.steps());
  started_ = MonotonicSeconds() - seconds_before_;
  TrainObserver::Epoch record;
  while (epoch_ < num_epochs) {
    const double train_loss = TrainEpoch(observer);
    timer.Lap();
    record = EvaluateEpoch(train_loss, epoch_ + 1 == num_epochs);
    observer.OnEpoch(record);
    ++epoch_;
    EndLap(timer, ledger_.evaluate, "evaluate", observer);
  }
  const double seconds = MonotonicSeconds() - started_ - ledger_.evaluate;
  loader_.reset();
  if (checkpointer_) checkpointer_->Finish();
  EndLap(timer, ledger_.checkpoint, "checkpoint", observer);

  shows_final_ = true;
  parts_.params.weights().copy_(final_weights_);
  parts_.params.buffers().copy_(final_buffers_);
  TrainResult result;
  result.bytes_sent = sent_;
  result.wall_seconds = MonotonicSeconds() - command_started_;
  result.epochs = static_cast<double>(options_.total_steps) / static_cast<double>(steps_per_epoch);
  result.train_loss = record.train_loss;
  result.test = *record.test;
  result.validation = record.validation;
  result.ledger = ledger_;
  result.clock_offset = clock_offset_;
  result.samples_per_second =
      static_cast<double>(options_.total_steps * parts_.sampler.batch_size() * parts_.comm.size()) / seconds;
  return result;
}

// The step that the evaluation of an epoch comes after: its last, or that at which an exchange lands that is
// under way then, so that training does not wait for it. Not if that is no sooner than the next epoch's end.
std::int64_t Trainer::EvaluationStep() const {
  const auto end_of = [&](std::int64_t number) {
    return std::min((number + 1) * parts_.sampler.steps_per_epoch(), options_.total_steps);
  };
  const std::int64_t end = end_of(epoch_);
  if (parts_.sync.steps() < end) return end;
  const std::int64_t landing = parts_.sync.quiet_at();
  return landing < end_of(epoch_ + 1) ? landing : end;
}

// The steps up to the epoch's evaluation. Returns their mean mini-batch loss over all workers.
double Trainer::TrainEpoch(TrainObserver& observer) {
  parts_.model.train();
  double last_progress = 0;
  sent_before_ = options_.bytes_sent();
  LapTimer timer;
  for (bool ends = parts_.sync.steps() >= EvaluationStep(); !ends;) {
    observer.CheckStop();
    CheckReplicas();
    EndLap(timer, ledger_.sync, "checks", observer);
    if (CheckpointIsDue()) {
      SaveCheckpoint(observer);
      timer.Lap();
    }
    const std::size_t place = loader_->Next();
    EndLap(timer, ledger_.data, "data", observer);
    const double step_began = timer.last();
    const std::size_t first_span = spans_.size();

    const double lr = ScheduledRate();
    for (auto& group : parts_.optimizer.param_groups()) group.options().set_lr(lr);
    const DeviceBatches::Batch batch = batches_->Bring(place, parts_.sampler.batch_size());
    images_ = batch.images;
    labels_ = batch.labels;
    const at::Tensor loss = graph_ ? graph_->Run() : Backward();
    parts_.sync.Step(parts_.optimizer, loss);
    epoch_loss_.Add(loss);
    logged_loss_.Add(loss);
    ends = parts_.sync.steps() >= EvaluationStep();
    if (ends) parts_.sync.Drain();
    const double in_exchange = TakeSpans();
    const bool last = parts_.sync.steps() == options_.total_steps;
    if (last || MonotonicSeconds() - last_progress > kProgressSeconds) {
      last_progress = MonotonicSeconds();
      observer.OnProgress(MakeProgress(logged_loss_.Mean()));
    }
    if (parts_.sync.steps() % options_.log_every == 0) {
      const double epochs_done =
          static_cast<double>(parts_.sync.steps()) / static_cast<double>(parts_.sampler.steps_per_epoch());
      observer.OnLoss(parts_.sync.steps(), epochs_done, logged_loss_.Mean(), lr);
      logged_loss_ = LossSum();
    }
    batches_->WaitForCopies();
    ledger_.compute += timer.Lap() - in_exchange;
    TellStep(step_began, timer.last(), first_span, observer);
  }
  CountSentBytes();
  const double mean_loss = SettleAccounts(observer);
  epoch_loss_ = LossSum();
  timer.Lap();
  TellRounds(observer);
  EndLap(timer, ledger_.evaluate, "evaluate", observer);
  return mean_loss;
}

// Pieces of state that all workers hold alike are compared from time to time, when no exchange is under way.
void Trainer::CheckReplicas() {
  if (next_check_ == 0 || parts_.sync.rounds() < next_check_ || parts_.sync.quiet_at() != parts_.sync.steps())
    return;
  CompareReplicas(parts_.sync, parts_.comm);
  next_check_ = NextMultiple(parts_.sync.rounds(), options_.check_replicas);
}

// Not while an exchange is under way, unless one always is.
bool Trainer::CheckpointIsDue() const {
  const std::int64_t quiet = parts_.sync.quiet_at();
  return next_checkpoint_ > 0 && parts_.sync.rounds() >= next_checkpoint_ &&
         (quiet == parts_.sync.steps() || quiet > options_.total_steps);
}

void Trainer::MakeCheckpointer(TrainObserver& observer, std::string* failure) {
  const auto on_failure = [&observer, failure](std::int64_t step, const std::string& reason) {
    if (failure != nullptr) *failure = reason;
    observer.OnCheckpointFailed(step, reason);
  };
  checkpointer_ = std::make_unique<Checkpointer>(options_.checkpoints, parts_.comm,
                                                 options_.checkpoint_metadata, on_failure);
}

std::string Trainer::WriteCheckpoint(TrainObserver& observer) {
  std::string failure;
  MakeCheckpointer(observer, &failure);
  SaveCheckpoint(observer);
  checkpointer_->Finish();
  checkpointer_.reset();
  return failure;
}

// Between two steps. Training waits for the copy of the state, and for the writing of the one before.
void Trainer::SaveCheckpoint(TrainObserver& observer) {
  LapTimer timer;
  const double began = timer.last();
  parts_.sync.Drain();
  const double in_exchange = TakeSpans();
  StateSaver saver;
  VisitState(saver, observer);
  checkpointer_->Save(parts_.sync.rounds(), parts_.sync.steps(), saver.Take());
  next_checkpoint_ = NextMultiple(parts_.sync.rounds(), options_.checkpoint_every);
  ledger_.checkpoint += timer.Lap() - in_exchange;
  Tell({TraceSpan::Lane::kTraining, "checkpoint", began + clock_offset_, timer.last() + clock_offset_, {}},
       observer);
}

// Returns how many steps an epoch has where the state comes from.
std::int64_t Trainer::Load(StateLoader& state, TrainObserver& observer) {
  std::int64_t steps_per_epoch = parts_.sampler.steps_per_epoch();
  {
    const StateVisitor::Within within(state, "trainer");
    state.Number("steps of an epoch", Held::kByAll, steps_per_epoch);
  }
  if (steps_per_epoch < 1)
    throw DataError(fmt::format("a state says that an epoch has {} steps", steps_per_epoch));
  VisitState(state, observer);
  return steps_per_epoch;
}

// Goes on where others left off, in passes over the data, or in steps where the length is in steps.
void Trainer::Reposition(std::int64_t saved_steps_per_epoch) {
  const std::int64_t steps_per_epoch = parts_.sampler.steps_per_epoch(), steps = parts_.sync.steps();
  if (!options_.length_in_steps)
    return parts_.sync.CountFrom(steps * steps_per_epoch / saved_steps_per_epoch);
  epoch_ = steps / steps_per_epoch;
}

void Trainer::Resume(StateLoader& state, TrainObserver& observer) {
  const std::int64_t saved_steps_per_epoch = Load(state, observer);
  if (!state.same_world()) {
    Reposition(saved_steps_per_epoch);
  } else if (saved_steps_per_epoch != parts_.sampler.steps_per_epoch()) {
    throw DataError(
        fmt::format("the checkpoint is of a data set whose epoch is {} steps long, and now it is {}; give "
                    "the data that the training began with",
                    saved_steps_per_epoch, parts_.sampler.steps_per_epoch()));
  }
  if (parts_.sync.steps() >= options_.total_steps) {
    throw UsageError(
        fmt::format("the checkpoint is at step {} and the training ends at step {}; give more --epochs or "
                    "--steps",
                    parts_.sync.steps(), options_.total_steps));
  }
}

void Trainer::TakeOver(StateLoader& state, TrainObserver& observer) {
  Reposition(Load(state, observer));
  // Who was further says where they all are; an epoch that somebody has evaluated has been.
  const std::vector<double> all = parts_.comm.AllGather(
      std::vector<double>{static_cast<double>(parts_.sync.steps()), static_cast<double>(epoch_),
                          static_cast<double>(parts_.sync.steps_of_round())});
  std::int64_t steps = 0, steps_of_round = 0;
  for (std::size_t i = 0; i < all.size(); i += 3) {
    steps = std::max(steps, static_cast<std::int64_t>(all[i]));
    epoch_ = std::max(epoch_, static_cast<std::int64_t>(all[i + 1]));
    steps_of_round = std::max(steps_of_round, static_cast<std::int64_t>(all[i + 2]));
  }
  const std::int64_t steps_per_epoch = parts_.sampler.steps_per_epoch();
  parts_.sync.CountFrom(std::min(steps, options_.total_steps));
  if (parts_.sync.steps() > (epoch_ + 1) * steps_per_epoch) epoch_ = parts_.sync.steps() / steps_per_epoch;
  // The last one ends in the final model.
  epoch_ = std::min(epoch_, (options_.total_steps - 1) / steps_per_epoch);
  if (steps_of_round > 0) parts_.sync.EndRound();
  parts_.sync.TakeSpans();  // its time is set-up
}

void Trainer::VisitState(StateVisitor& state, TrainObserver& observer) {
  torch::NoGradGuard no_grad;
  TakeOwnBack();
  if (!state.loads()) CountSentBytes();
  parts_.sync.VisitState(state);
  swarmsync::VisitState(state, parts_.optimizer);
  for (const auto& buffer : parts_.model.named_buffers()) {
    if (buffer.value().scalar_type() != at::kFloat)
      state.TensorInPlace("buffer." + buffer.key(), Held::kByEach, buffer.value());
  }
  // Those of another worker would draw what it draws; a run on threads, which share them, has none to give.
  for (std::size_t i = 0; i < options_.generators.size() && state.same_world(); ++i) {
    at::Generator& generator = options_.generators[i];
    const std::lock_guard lock(generator.mutex());
    const at::Tensor now = generator.get_state();
    at::Tensor words;
    if (!state.loads()) words = now;
    state.Tensor(fmt::format("generator.{}", i), Held::kByEach, words, now);
    if (state.loads() && words.defined()) generator.set_state(words.cpu());
  }
  const StateVisitor::Within within(state, "trainer");
  std::int64_t steps_per_epoch = parts_.sampler.steps_per_epoch();
  state.Number("steps of an epoch", Held::kByAll, steps_per_epoch);
  state.Number("epochs", Held::kByAll, epoch_);
  state.Number("loss of the last epoch", Held::kByAll, train_loss_);
  {
    const StateVisitor::Within loss(state, "loss of the epoch");
    epoch_loss_.VisitState(state);
  }
  {
    const StateVisitor::Within loss(state, "loss of the log");
    logged_loss_.VisitState(state);
  }
  rounds_.VisitState(state);
  state.Number("bytes sent", Held::kByEach, sent_.all);
  state.Number("bytes sent between hosts", Held::kByEach, sent_.between_hosts);
  ledger_.Visit([&](const char* name, double& seconds) { state.Number(name, Held::kByEach, seconds); });
  state.Number("seconds in exchanges", Held::kByEach, in_exchanges_);
  if (state.same_world()) state.Records("spans", Held::kByEach, spans_);
  // Times go on as if the clock had stood still.
  const double now = MonotonicSeconds();
  double training = started_ > 0 ? now - started_ : seconds_before_, command = now - command_started_;
  state.Number("seconds of training", Held::kByEach, training);
  state.Number("seconds of the command", Held::kByEach, command);
  if (state.loads()) {
    seconds_before_ = training;
    command_started_ = options_.command_started - command;
  }
  observer.VisitState(state);
}

// Adds what has been sent since the last call, or since the epoch began.
void Trainer::CountSentBytes() {
  const SentBytes now = options_.bytes_sent();
  sent_.all += now.all - sent_before_.all;
  sent_.between_hosts += now.between_hosts - sent_before_.between_hosts;
  sent_before_ = now;
}

// Keeps the spans of the exchanges since the last call. Returns their seconds.
double Trainer::TakeSpans() {
  double seconds = 0;
  for (SyncSpan& span : parts_.sync.TakeSpans()) {
    seconds += span.seconds;
    span.arrival += clock_offset_;
    spans_.push_back(span);
  }
  in_exchanges_ += seconds;
  return seconds;
}

// Ends a lap, whose seconds go to an account.
void Trainer::EndLap(LapTimer& timer, double& account, std::string_view name, TrainObserver& observer) {
  const double began = timer.last();
  account += timer.Lap();
  Tell({TraceSpan::Lane::kTraining, name, began + clock_offset_, timer.last() + clock_offset_, {}}, observer);
}

// Not what this worker did in a run that was stopped: its clock may have been another.
void Trainer::Tell(const TraceSpan& span, TrainObserver& observer) const {
  if (!options_.trace || span.end - span.begin < kShortestSpan) return;
  if (span.begin >= options_.command_started + clock_offset_) observer.OnSpan(span);
}

// A step is computing, but for the exchanges in it, which are those from `first_span` on. The last of a round
// ends the round.
void Trainer::TellStep(double begin, double end, std::size_t first_span, TrainObserver& observer) {
  if (!options_.trace) return;
  constexpr auto kLane = TraceSpan::Lane::kTraining;
  const auto step = static_cast<double>(parts_.sync.steps());
  begin += clock_offset_;
  end += clock_offset_;
  for (std::size_t k = first_span; k < spans_.size(); ++k) {
    const double arrival = spans_[k].arrival, left = arrival + spans_[k].seconds;
    Tell({kLane, "compute", begin, arrival, {{"step", step}}}, observer);
    Tell({kLane, "exchange", arrival, left, {{"step", step}}}, observer);
    begin = left;
  }
  Tell({kLane, "compute", begin, end, {{"step", step}}}, observer);
  if (parts_.sync.steps_of_round() > 0) return;
  const std::int64_t under_way = parts_.sync.quiet_at() > parts_.sync.steps() ? 1 : 0;
  const std::int64_t round = parts_.sync.rounds() + under_way;
  Tell({kLane, fmt::format("round {}", round), round_began_, end, {{"step", step}}}, observer);
  round_began_ = end;
}

// The exchanges of weights, which may have been beside the steps.
void Trainer::TellExchanges(const std::vector<RoundTrace>& rounds, TrainObserver& observer) const {
  if (!options_.trace) return;
  for (const RoundTrace& round : rounds) {
    const double arrival = round.arrival + clock_offset_;
    Tell({TraceSpan::Lane::kExchange,
          fmt::format("exchange {}", round.round),
          arrival,
          arrival + round.seconds,
          {{"round", static_cast<double>(round.round)},
           {"step", static_cast<double>(round.step)},
           {"fitness", round.fitness},
           {"bytes", round.bytes},
           {"displacement", round.displacement},
           {"pull", round.pull},
           {"left_out", round.left_out ? 1.0 : 0.0}}},
         observer);
  }
}

// Forward and backward of the step's mini-batch, in parts whose gradients add up to that of the whole.
// Returns its mean loss.
at::Tensor Trainer::Backward() {
  const Recipe& recipe = options_.recipe;
  const std::int64_t batch = images_.size(0);
  at::Tensor loss;
  for (std::int64_t part = 0; part < recipe.accumulate; ++part) {
    const std::int64_t begin = batch * part / recipe.accumulate, end = batch * (part + 1) / recipe.accumulate;
    at::Tensor part_loss;
    {
      const Autocast autocast(recipe.amp, images_.device().type());
      const at::Tensor logits = parts_.model.forward(images_.slice(0, begin, end));
      part_loss = at::cross_entropy_loss(logits.to(at::kFloat), labels_.slice(0, begin, end), {},
                                         at::Reduction::Mean, /*ignore_index=*/-100, recipe.label_smoothing);
    }
    if (recipe.accumulate > 1)
      part_loss = part_loss * (static_cast<double>(end - begin) / static_cast<double>(batch));
    if (part + 1 == recipe.accumulate && parts_.sync.ExpectGradients()) {
      if (part == 0) parts_.params.ZeroGrad();
      part_loss.backward();
    } else {
      const auto gradients =
          torch::autograd::grad({part_loss}, trained_, /*grad_outputs=*/{}, /*retain_graph=*/false,
                                /*create_graph=*/false, /*allow_unused=*/true);
      TakeGradients(trained_, gradients, part == 0 ? Taking::kPut : Taking::kAdd);
    }
    loss = loss.defined() ? loss + part_loss.detach() : part_loss.detach();
  }
  return loss;
}

// The learning rate of the next step, by the samples that all workers have seen.
double Trainer::ScheduledRate() const {
  const Recipe& recipe = options_.recipe;
  return recipe.lr * LearningRateFactorOfStep(recipe.schedule, recipe.lr_warmup, parts_.sync.steps() + 1,
                                              parts_.sampler.steps_per_epoch(), options_.total_steps);
}

// Puts together what the workers saw of the rounds of an epoch.
void Trainer::TellRounds(TrainObserver& observer) {
  static_assert(std::is_trivially_copyable_v<RoundTrace>);
  const std::vector<RoundTrace> mine = parts_.sync.TakeTraces();
  TellExchanges(mine, observer);
  std::vector<RoundTrace> all(mine.size() * static_cast<std::size_t>(parts_.comm.size()));
  parts_.comm.AllGatherBytes(mine.data(), mine.size() * sizeof(RoundTrace), all.data());
  for (std::size_t k = 0; k < mine.size(); ++k) {
    std::vector<RoundTrace> traces;
    for (std::size_t at = k; at < all.size(); at += mine.size()) traces.push_back(all[at]);
    const double epoch =
        static_cast<double>(mine[k].step) / static_cast<double>(parts_.sampler.steps_per_epoch());
    observer.OnRound(rounds_.Combine(traces), epoch);
  }
}

// Waits for the others, divides the time in exchanges into work and waiting, and returns the mean mini-batch
// loss of the epoch over all workers. Throws RunError when no worker's loss is finite.
double Trainer::SettleAccounts(TrainObserver& observer) {
  LapTimer timer;
  parts_.comm.Barrier();
  EndLap(timer, ledger_.wait, "wait", observer);

  // Who came here from another world may have made no step of the epoch.
  std::vector<double> mine{epoch_loss_.count() > 0 ? epoch_loss_.Mean() : kNoSteps};
  for (const SyncSpan& span : spans_) mine.push_back(span.arrival);
  const std::vector<double> all = parts_.comm.AllGather(mine);
  std::vector<double> last_arrivals(spans_.size());
  double loss = 0;
  int finite = 0, counted = 0;
  for (int rank = 0; rank < parts_.comm.size(); ++rank) {
    const double* theirs = all.data() + rank * mine.size();
    if (theirs[0] != kNoSteps) {
      loss += theirs[0];
      ++counted;
    }
    if (std::isfinite(theirs[0])) ++finite;
    for (std::size_t k = 0; k < spans_.size(); ++k) {
      const int group = spans_[k].group_size > 0 ? spans_[k].group_size : parts_.comm.size();
      if (rank / group == parts_.comm.rank() / group)
        last_arrivals[k] = std::max(last_arrivals[k], theirs[k + 1]);
    }
  }
  const WaitingSplit split = SplitWaiting(spans_, last_arrivals);
  ledger_.sync += split.sync;
  ledger_.wait += split.wait;
  for (std::size_t k = 0; k < spans_.size(); ++k) {
    const SyncSpan& span = spans_[k];
    const double came = std::min(last_arrivals[k], span.arrival + span.seconds);
    Tell({TraceSpan::Lane::kTraining, "wait", span.arrival, came, {}}, observer);
  }
  spans_.clear();
  EndLap(timer, ledger_.evaluate, "evaluate", observer);

  if (counted == 0) return train_loss_;
  loss /= counted;
  if (finite == 0) {
    throw RunError(
        fmt::format("training diverged on all workers: the mean loss of the epoch that ended at step {} is "
                    "not finite; lower the learning rate",
                    parts_.sync.steps()));
  }
  return train_loss_ = loss;
}

// Evaluates the model as the synchronizer would leave it now, then puts the worker's own weights back.
TrainObserver::Epoch Trainer::EvaluateEpoch(double train_loss, bool last) {
  TrainObserver::Epoch record;
  record.step = parts_.sync.steps();
  record.epoch =
      std::min(static_cast<double>(epoch_ + 1), static_cast<double>(parts_.sync.steps()) /
                                                    static_cast<double>(parts_.sampler.steps_per_epoch()));
  record.train_loss = train_loss;

  torch::NoGradGuard no_grad;
  parts_.sync.WriteFinalModel(final_weights_, final_buffers_);
  own_weights_.copy_(parts_.params.weights());
  own_buffers_.copy_(parts_.params.buffers());
  shows_final_ = true;
  parts_.params.weights().copy_(final_weights_);
  parts_.params.buffers().copy_(final_buffers_);
  if (options_.recalibrate > 0 && final_buffers_.numel() > 0) Recalibrate();
  if (parts_.validation_ids.size > 0)
    record.validation = Evaluate(parts_.model, parts_.validation_set, parts_.validation_ids, parts_.comm);
  if (last || parts_.validation_ids.size == 0)
    record.test = Evaluate(parts_.model, *parts_.data.test, ViewOf(test_ids_), parts_.comm);
  TakeOwnBack();
  return record;
}

// The worker's own weights and buffers, where the final model's are in their place.
void Trainer::TakeOwnBack() {
  torch::NoGradGuard no_grad;
  if (!std::exchange(shows_final_, false)) return;
  parts_.params.weights().copy_(own_weights_);
  parts_.params.buffers().copy_(own_buffers_);
}

// The final model's buffers anew, where they are kept: weights that are a mean, or an average over rounds,
// have other statistics than the means of the workers' own (Izmailov et al. 2018). Collective.
void Trainer::Recalibrate() {
  DeviceBatches memory(1, parts_.sampler.batch_size(), parts_.data.shape, parts_.params.weights().device(),
                       options_.recipe.format);
  BatchLoader batches(*parts_.data.train, calibration_sampler_, parts_.augmenter, options_.recalibrate,
                      memory.hosts(), /*threads=*/0);
  at::Tensor images;
  const auto load = [&] {
    memory.WaitForCopies();
    images = memory.Bring(batches.Next(), parts_.sampler.batch_size()).images;
  };
  const auto show = [&] {
    const Autocast autocast(options_.recipe.amp, images.device().type());
    parts_.model.forward(images);
  };
  RenewStatistics(parts_.model, parts_.params.buffers(), options_.recalibrate, load, show);
  parts_.comm.AllReduceSum(parts_.params.buffers());
  parts_.params.buffers().mul_(1.0 / parts_.comm.size());
  final_buffers_.copy_(parts_.params.buffers());
}

Progress Trainer::MakeProgress(double loss) const {
  Progress progress;
  progress.step = parts_.sync.steps();
  progress.total_steps = options_.total_steps;
  const auto steps_per_epoch = static_cast<double>(parts_.sampler.steps_per_epoch());
  progress.epoch = static_cast<double>(parts_.sync.steps()) / steps_per_epoch;
  progress.epochs = static_cast<double>(options_.total_steps) / steps_per_epoch;
  progress.loss = loss;
  const double elapsed = MonotonicSeconds() - started_;
  progress.samples_per_second =
      static_cast<double>(parts_.sync.steps() * parts_.sampler.batch_size() * parts_.comm.size()) /
      (elapsed - ledger_.evaluate);
  progress.exchange_share = in_exchanges_ / elapsed;
  progress.seconds_left = elapsed / static_cast<double>(parts_.sync.steps()) *
                          static_cast<double>(options_.total_steps - parts_.sync.steps());
  return progress;
}

}  // namespace swarmsync
