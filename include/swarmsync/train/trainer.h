#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "swarmsync/data/dataset.h"
#include "swarmsync/data/sampler.h"
#include "swarmsync/report/ledger.h"
#include "swarmsync/report/progress.h"
#include "swarmsync/sync/synchronizer.h"
#include "swarmsync/train/evaluate.h"

namespace swarmsync {

// What the trainer tells while it trains. Called on the thread that trains.
class TrainObserver {
 public:
  struct Epoch {
    double epoch = 0;  // epochs done; a last one may be partial
    std::int64_t step = 0;
    double train_loss = 0;  // mean mini-batch loss of the epoch, over all workers
    std::optional<Evaluation> validation;
    std::optional<Evaluation> test;
  };

  virtual ~TrainObserver() = default;
  virtual void OnProgress(const Progress&) {}  // at most some ten times a second
  virtual void OnLoss(std::int64_t /*step*/, double /*epoch*/, double /*mean_loss*/) {
  }  // every log_every steps
  // Each round, told at the end of its epoch. bytes: sent in it by a worker, the mean. Not for exchanges of
  // gradients.
  virtual void OnRound(const RoundRecord&, double /*epoch*/, double /*bytes*/) {}
  virtual void OnEpoch(const Epoch&) {}
  virtual void CheckStop() {}  // before every step; throws what shall end the training
};

struct TrainerOptions {
  std::int64_t total_steps = 0;  // of one worker; as in SyncOptions
  std::int64_t log_every = 50;
  std::function<double()> bytes_sent = [] { return 0.0; };  // by a worker up to now, the mean
};

struct TrainResult {
  double epochs = 0;
  double train_loss = 0;  // of the last epoch
  Evaluation test;
  std::optional<Evaluation> validation;
  Ledger ledger;  // of this rank, without the caller's setup and checkpoint
  double samples_per_second = 0;
  double bytes_sent = 0;  // by a worker in training, the mean; without evaluation and the final model
};

// The only training loop: sampler, data set, forward, backward, Synchronizer::Step(). Evaluates after every
// epoch, on the validation samples where there are any, else on the test set; on the test set at the end in
// any case. Borrows everything. Not thread-safe; one for each worker.
class Trainer {
 public:
  // model's parameters are in params; sync works on params and (through a decorator, perhaps) on comm, and
  // was made with SyncOptions::trace. comm: for evaluation and accounts. validation_ids: of validation_set,
  // may be empty.
  Trainer(ImageClassifier& model, FlatParams& params, torch::optim::Optimizer& optimizer, Synchronizer& sync,
          Communicator& comm, const Dataset& data, ShardedSampler& sampler, const ImageSet& validation_set,
          std::vector<std::int64_t> validation_ids, TrainerOptions options);

  // Trains, and leaves in the model the weights that the synchronizer names as final, the same on all ranks.
  // Collective. Throws RunError when all workers have diverged, CommError, and what the observer throws.
  TrainResult Run(TrainObserver& observer);

 private:
  double TrainEpoch(std::int64_t epoch, TrainObserver& observer);
  TrainObserver::Epoch EvaluateEpoch(std::int64_t epoch, double train_loss, bool last);
  double SettleAccounts(const class LossSum& epoch_loss);
  void TellRounds(TrainObserver& observer);
  Progress MakeProgress(double loss) const;

  ImageClassifier& model_;
  FlatParams& params_;
  torch::optim::Optimizer& optimizer_;
  Synchronizer& sync_;
  Communicator& comm_;
  const Dataset& data_;
  ShardedSampler& sampler_;
  const ImageSet& validation_set_;
  std::vector<std::int64_t> validation_ids_, test_ids_;
  TrainerOptions options_;

  double clock_offset_ = 0;  // what to add to this rank's clock to compare it with rank 0's
  double started_ = 0;       // when the first step began
  double in_exchanges_ = 0;  // seconds, waiting included
  Ledger ledger_;
  std::vector<SyncSpan> spans_;      // of the epoch
  std::vector<double> round_bytes_;  // likewise
  RoundRecorder rounds_;
  at::Tensor images_, labels_;  // the mini-batch
  at::Tensor final_weights_, own_weights_;
};

}  // namespace swarmsync
