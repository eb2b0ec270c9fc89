#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "swarmsync/comm/communicator.h"
#include "swarmsync/params/flat_params.h"
#include "swarmsync/swarm/options.h"
#include "swarmsync/sync/loss_sum.h"

namespace torch::optim {
class Optimizer;
}

namespace swarmsync {

struct SyncOptions {
  std::int64_t period = 16;      // local steps between two exchanges, the same on all ranks
  std::int64_t total_steps = 0;  // when known and the same on all ranks: the step that ends the training with
                                 // an exchange. 0: unknown, and Finish() ends the training
  std::uint64_t seed = 0;  // of the random factors
  PsoOptions swarm;
  Fitness fitness = Fitness::kTrainLoss;
  std::function<double()> probe;  // for Fitness::kProbe: the loss at the weights as they are. Local
};

// When a rank stood in front of a collective operation and how long it took, waiting included, by the clock
// of base/clock.h.
struct SyncSpan {
  double arrival;
  double seconds;
};

// What an exchange found, for those who want to look inside. Fitness: by rank, infinite for a worker that has
// finished; empty for synchronizers that use none.
struct ExchangeRecord {
  std::vector<double> fitness;
  int guide = -1;
  bool guide_moved = false;
};

// Combines what the workers learn. One instance for each worker, made with MakeSynchronizer(); all ranks make
// the same collective calls in the same order. Not thread-safe.
//
// After a CommError the instance is unusable; the weights are still those of the last local step.
class Synchronizer {
 public:
  // Borrows both. Local; the weights must be the same on all ranks.
  Synchronizer(FlatParams& params, Communicator& comm, SyncOptions options);
  virtual ~Synchronizer();
  Synchronizer(const Synchronizer&) = delete;
  Synchronizer& operator=(const Synchronizer&) = delete;

  virtual std::string_view name() const = 0;
  std::int64_t period() const { return options_.period; }

  // Ends one mini-batch, after backward(): the optimizer's step and, when a round is complete, the exchange.
  // Collective at the steps that exchange, local at the others. loss: the mini-batch's mean loss, a scalar.
  // Throws UsageError after the last step.
  void Step(torch::optim::Optimizer& optimizer, const at::Tensor& loss);

  // Ends this worker's part: exchanges a last partial round, then takes part in the others' exchanges,
  // without contributing, until all have finished. Collective; ranks may come here after different numbers of
  // steps. With total_steps given and reached there is nothing left to do; without, it costs one exchange
  // more.
  void Finish();

  // The parts of Step(), for who drives rounds by hand. Collective for the synchronizers that exchange there.
  void OnGradients();             // after backward(), before the optimizer's step: ssgd's exchange
  void Exchange(double fitness);  // after the local steps of a round: the others'

  // The model to evaluate and keep: "mean of the workers" or "replica".
  virtual std::string_view final_model() const { return "mean of the workers"; }
  // Writes its weights to `out` (like FlatParams::weights()), the same on all ranks. Collective.
  virtual void WriteFinalModel(const at::Tensor& out);

  std::int64_t steps() const { return steps_; }
  std::int64_t rounds() const { return rounds_; }
  const ExchangeRecord& last_exchange() const { return record_; }

  // The time of every exchange since the last call of this function.
  std::vector<SyncSpan> TakeSpans();

 protected:
  // What this rank brings to an exchange. A worker that has finished is there but contributes nothing.
  struct Turn {
    double fitness;
    bool contributes;
  };
  // One exchange. Returns how many ranks contributed. Collective.
  virtual int DoExchange(const Turn& turn) = 0;
  // Whether gradients are exchanged at every step, rather than weights after a round.
  virtual bool exchanges_gradients() const { return false; }
  // Called when all ranks have finished after different numbers of steps; rank `longest` made the most.
  // Collective.
  virtual void Settle(int /*longest*/) {}

  FlatParams& params() { return params_; }
  Communicator& comm() { return comm_; }
  const SyncOptions& options() const { return options_; }
  ExchangeRecord& record() { return record_; }

 private:
  int RunExchange(const Turn& turn);
  double RoundFitness();

  FlatParams& params_;
  Communicator& comm_;
  SyncOptions options_;
  std::int64_t steps_ = 0;
  std::int64_t rounds_ = 0;
  std::int64_t round_steps_ = 0;  // since the last exchange
  LossSum round_loss_;
  bool finished_ = false;
  ExchangeRecord record_;
  std::vector<SyncSpan> spans_;
};

// The names that MakeSynchronizer() knows.
std::vector<std::string> SynchronizerNames();

// Makes the synchronizer of that name. Collective: rank 0's weights become everybody's. Borrows params and
// comm. Throws UsageError for an unknown name, an option out of range, and when the ranks disagree about any
// of them; CommError when the weights are not the same everywhere afterwards.
std::unique_ptr<Synchronizer> MakeSynchronizer(std::string_view name, FlatParams& params, Communicator& comm,
                                               const SyncOptions& options = {});

}  // namespace swarmsync
