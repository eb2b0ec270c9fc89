#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "swarmsync/base/clock.h"
#include "swarmsync/checkpoint/checkpoint_directory.h"
#include "swarmsync/checkpoint/state.h"
#include "swarmsync/comm/counting_communicator.h"
#include "swarmsync/data/augmenter.h"
#include "swarmsync/data/batch_loader.h"
#include "swarmsync/data/dataset.h"
#include "swarmsync/data/sampler.h"
#include "swarmsync/report/ledger.h"
#include "swarmsync/report/progress.h"
#include "swarmsync/report/trace_span.h"
#include "swarmsync/sync/synchronizer.h"
#include "swarmsync/train/config.h"
#include "swarmsync/train/evaluate.h"

namespace swarmsync {

// What the trainer tells while it trains. Called on the thread that trains.
class TrainObserver {
 public:
  // An epoch that has been evaluated.
  struct Epoch {
    double epoch = 0;       // epochs done; a last one may be partial
    std::int64_t step = 0;  // of a worker, when it was
    double train_loss = 0;  // mean mini-batch loss of the epoch, over all workers
    // Of the model that would be final now, where there are validation samples.
    std::optional<Evaluation> validation;
    std::optional<Evaluation> test;  // likewise, at the end, and where there are none
  };

  virtual ~TrainObserver() = default;
  virtual void OnProgress(const Progress&) {}  // at most some ten times a second
  // Every log_every steps. lr: this worker's learning rate.
  virtual void OnLoss(std::int64_t /*step*/, double /*epoch*/, double /*mean_loss*/, double /*lr*/) {}
  // Each round, told at the end of its epoch. Not for exchanges of gradients.
  virtual void OnRound(const RoundRecord&, double /*epoch*/) {}
  // After every epoch's evaluation. Told the same on all ranks.
  virtual void OnEpoch(const Epoch&) {}
  // With TrainerOptions::trace, each thing that this worker does, by rank 0's clock, in no order. Those of an
  // exchange are told at the end of the epoch.
  virtual void OnSpan(const TraceSpan&) {}
  virtual void CheckStop() {}  // before every step; throws what shall end the training
  virtual void OnCheckpointFailed(std::int64_t /*step*/, const std::string& /*reason*/) {
  }  // training goes on
  // What the observer itself needs for going on later.
  virtual void VisitState(StateVisitor&) {}
};

// How a mini-batch becomes a step.
struct Recipe {
  double lr = 0.1;              // of this worker, before the schedule
  Schedule schedule;            // of the learning rate
  double lr_warmup = 0;         // passes over the training set
  double label_smoothing = 0;   // the part of a label that is spread over all classes, in [0, 1)
  std::int64_t accumulate = 1;  // parts of a mini-batch that go through the model one after another
  Amp amp = Amp::kNone;         // of forward and backward
  at::MemoryFormat format = at::MemoryFormat::Contiguous;  // of the images
  // Forward and backward are recorded on the GPU, once: the model repeats itself, and the thread's current
  // stream there is not the default one and no other thread's. Without CUDA the trainer throws RunError.
  bool cuda_graph = false;
};

// What a Trainer is told beside its parts. The same on all ranks, but for what is said to be of this worker.
struct TrainerOptions {
  std::int64_t total_steps = 0;     // of one worker; as in SyncOptions
  std::int64_t log_every = 50;      // steps between two OnLoss(), at least 1
  std::int64_t loader_threads = 1;  // that read ahead (BatchLoader)
  std::int64_t recalibrate = 0;     // mini-batches of each worker that renew the final model's buffers
  std::int64_t check_replicas = 0;  // rounds between two comparisons of what all workers hold alike; 0: none
  std::int64_t checkpoint_every = 0;                       // rounds; 0: never
  CheckpointDirectory checkpoints{""};                     // where
  std::map<std::string, std::string> checkpoint_metadata;  // of every part of a checkpoint
  bool length_in_steps = false;  // rather than in epochs: what stays when others go on with a training
  std::vector<at::Generator> generators;  // that this worker draws from, and nobody else
  double command_started = 0;             // MonotonicSeconds() then
  bool trace = false;                     // tell what is done when
  Recipe recipe;                          // of each step
  std::function<SentBytes()> bytes_sent = [] { return SentBytes(); };  // by this worker up to now
};

// What became of a training. Evaluations are of the final model, the same on all ranks.
struct TrainResult {
  double epochs = 0;                     // passes over the training set, with their fraction
  double train_loss = 0;                 // of the last epoch
  Evaluation test;                       // on the whole test set
  std::optional<Evaluation> validation;  // where there are validation samples
  Ledger ledger;                         // of this rank, without the caller's setup and checkpoint
  double samples_per_second = 0;         // of all workers, from the first step to the last, evaluation apart
  double wall_seconds = 0;  // since the command began; with those of the runs that this one goes on from
  SentBytes bytes_sent;     // by this worker in training, without evaluation and the final model
  double clock_offset = 0;  // from this rank's clock to rank 0's
};

// What a training is made of. All is borrowed.
struct TrainerParts {
  ImageClassifier& model;              // on the device that it trains on
  FlatParams& params;                  // of the model
  torch::optim::Optimizer& optimizer;  // of the weights of params; the recipe sets its lr
  Synchronizer& sync;                  // on params; made with SyncOptions::trace
  Communicator& comm;                  // for evaluation and accounts
  const Dataset& data;                 // as this worker sees them
  ShardedSampler& sampler;             // this worker's, of data.train
  const Augmenter& augmenter;          // of the training images
  const ImageSet& validation_set;      // of which
  SampleIds validation_ids;            // these are for validation; may be empty
};

// The only training loop, on the device of the model's parameters: sampler, data set, augmentation, forward,
// backward, Synchronizer::Step(). Evaluates after every epoch, on the validation samples where there are any,
// else on the test set; on the test set at the end in any case. Where an exchange is under way at the end of
// an epoch, the evaluation comes when it has landed, some steps into the next. Not thread-safe; one for each
// worker.
class Trainer {
 public:
  // Sets aside memory for mini-batches, and twice as much as the weights and buffers take. Local.
  Trainer(const TrainerParts& parts, TrainerOptions options);
  ~Trainer();

  // Takes the state that a checkpoint has of a worker. Before Run(). Collective. Throws DataError when it
  // does not fit, UsageError when the training would be over.
  void Resume(StateLoader& state, TrainObserver& observer);

  // Takes the state of a worker of a world before this one: the members agree on where they are and end the
  // round there. Before Run(). Collective.
  void TakeOver(StateLoader& state, TrainObserver& observer);

  // Writes a checkpoint and waits until it is on the disk. Instead of Run(). Returns why it could not
  // be written, on all ranks; "" when it was. Collective.
  std::string WriteCheckpoint(TrainObserver& observer);

  // Goes through the whole state of this worker's training, when no exchange is under way. The model then has
  // the worker's own weights, not the final ones. Local.
  void VisitState(StateVisitor& state, TrainObserver& observer);

  // Trains, and leaves in the model the weights and buffers that the synchronizer names as final, the same on
  // all ranks. Collective. Throws RunError when all workers have diverged, CommError, and what the observer
  // throws.
  TrainResult Run(TrainObserver& observer);

 private:
  double TrainEpoch(TrainObserver& observer);
  std::int64_t EvaluationStep() const;
  void Reposition(std::int64_t saved_steps_per_epoch);
  std::int64_t Load(StateLoader& state, TrainObserver& observer);
  void MakeCheckpointer(TrainObserver& observer, std::string* failure = nullptr);
  void CheckReplicas();
  void CountSentBytes();
  bool CheckpointIsDue() const;
  void SaveCheckpoint(TrainObserver& observer);
  at::Tensor Backward();
  double ScheduledRate() const;
  TrainObserver::Epoch EvaluateEpoch(double train_loss, bool last);
  void Recalibrate();
  void TakeOwnBack();
  double SettleAccounts(TrainObserver& observer);
  double TakeSpans();
  void EndLap(LapTimer& timer, double& account, std::string_view name, TrainObserver& observer);
  void Tell(const TraceSpan& span, TrainObserver& observer) const;
  void TellStep(double begin, double end, std::size_t first_span, TrainObserver& observer);
  void TellExchanges(const std::vector<RoundTrace>& rounds, TrainObserver& observer) const;
  void TellRounds(TrainObserver& observer);
  Progress MakeProgress(double loss) const;

  TrainerParts parts_;
  TrainerOptions options_;
  std::vector<std::int64_t> test_ids_;
  std::vector<at::Tensor> trained_;  // parameters of the model, but for frozen ones

  double clock_offset_ = 0;     // what to add to this rank's clock to compare it with rank 0's
  double started_ = 0;          // when the first step began, had there been no interruption; 0 before Run()
  double seconds_before_ = 0;   // of training, in the runs that this one goes on from
  double command_started_ = 0;  // likewise
  std::int64_t epoch_ = 0;      // epochs that have been evaluated
  std::int64_t next_check_ = 0, next_checkpoint_ = 0;  // rounds
  double train_loss_ = 0;                              // of the last epoch
  LossSum epoch_loss_, logged_loss_;                   // since the last evaluation; since the last record
  SentBytes sent_, sent_before_;                       // in training; in all when that was last counted
  std::unique_ptr<class Checkpointer> checkpointer_;   // with TrainerOptions::checkpoint_every
  double in_exchanges_ = 0;                            // seconds, waiting included
  double round_began_ = 0;                             // the one that the trace shows next
  Ledger ledger_;
  std::vector<SyncSpan> spans_;  // of the epoch
  RoundRecorder rounds_;
  std::unique_ptr<class DeviceBatches> batches_;  // some read ahead
  at::Tensor images_, labels_;                    // of the step, where the model is
  std::unique_ptr<class StepGraph> graph_;        // with Recipe::cuda_graph
  std::unique_ptr<BatchLoader> loader_;           // while training; it alone uses the sampler then
  ShardedSampler calibration_sampler_;
  bool shows_final_ = false;  // the model has the final weights, and own_weights_ the worker's
  at::Tensor final_weights_, final_buffers_, own_weights_, own_buffers_;
};

}  // namespace swarmsync
