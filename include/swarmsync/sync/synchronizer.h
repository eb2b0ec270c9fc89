#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "swarmsync/checkpoint/state.h"
#include "swarmsync/comm/communicator.h"
#include "swarmsync/params/flat_params.h"
#include "swarmsync/sync/loss_sum.h"
#include "swarmsync/sync/options.h"
#include "swarmsync/sync/round_trace.h"

namespace torch::optim {
class Optimizer;
}

namespace swarmsync {

class GradientMean;
class HostGroups;
class MomentaMean;
class MomentumOfMove;

// When a rank stood in front of a collective operation and how long it took, waiting included, by the clock
// of base/clock.h.
struct SyncSpan {
  double arrival;      // MonotonicSeconds() when it came
  double seconds;      // until the operation was over
  int group_size = 0;  // of the ranks that stand there: so many that follow each other; 0: all
};

// What an exchange found, for those who want to look inside.
struct ExchangeRecord {
  std::vector<double> fitness;  // by rank; kNoFitness of one that has finished, NaN of one that could not
                                // guide; empty for synchronizers that use none
  int guide = -1;            // the rank that was chosen to pull to, or for informed-pso-ps the best; -1: none
  bool guide_moved = false;  // whether it brought the point that all are pulled to; else that stays as it was
  std::vector<int> left_out;  // by the guard
};

class Synchronizer;

// Makes a synchronizer of one worker, out of what it is to borrow. Local.
using SynchronizerFactory =
    std::function<std::unique_ptr<Synchronizer>(FlatParams&, Communicator&, const SyncOptions&)>;

// Combines what the workers learn. One instance for each worker, made with MakeSynchronizer(); all ranks make
// the same collective calls in the same order. Not thread-safe.
//
// After a CommError the instance exchanges no more. Its state is that of the last local step, and can be
// visited: an exchange of weights that failed has changed nothing, or, with SyncOptions::commit, is
// prepared() and may be applied. (One in the exchange of momenta behind it leaves the exchange of weights
// applied.)
class Synchronizer {
 public:
  // Borrows both. Local; the weights must be the same on all ranks.
  Synchronizer(FlatParams& params, Communicator& comm, SyncOptions options);
  virtual ~Synchronizer();
  Synchronizer(const Synchronizer&) = delete;
  Synchronizer& operator=(const Synchronizer&) = delete;

  virtual std::string_view name() const = 0;               // of the algorithm, as MakeSynchronizer() takes it
  std::int64_t period() const { return options_.period; }  // steps in a round; 1 for ssgd

  // Says that a backward() comes next, as the last one before Step(), and that zero_grad() has been called.
  // Where gradients are exchanged they are then sent while it runs, in buckets, each once all its gradients
  // are there; Step() waits for them. Optional; not all ranks need to call it. Until Step() nobody else may
  // call the communicator. Returns whether something will be sent so: not where weights are exchanged, not
  // with another wire than fp32, not on a GPU, not by a worker alone and not where there is but one bucket.
  // Local. Throws UsageError when called twice; what breaks the rules above, backward() or Step() throws.
  bool ExpectGradients();

  // Ends one mini-batch, after backward(): the optimizer's step and, when a round is complete, the exchange.
  // Collective at the steps that exchange, local at the others. With SyncOptions::overlap such a step begins
  // the exchange, on a thread of its own that calls the communicator, and a later one, which may wait for it,
  // moves the weights by what the exchange would have moved them; in between, nobody else may call the
  // communicator. loss: the mini-batch's mean loss, a scalar.
  // Throws UsageError after the last step.
  void Step(torch::optim::Optimizer& optimizer, const at::Tensor& loss);

  // The first half of Step(), for who has an optimizer that is not libtorch's: to be called in front of its
  // step, by turns with AfterOptimizer(). Collective where Step() is. Returns whether the optimizer is to
  // forget its state now (MomentumAtSync::kReset, and after the guard has left this worker out). Throws as
  // Step() does, and UsageError with MomentumAtSync::kAverage and when it is called twice.
  bool BeforeOptimizer();
  // The second half, behind the optimizer's step. loss: as for Step(). Collective, and returns, as the first.
  // Throws UsageError without a first half.
  bool AfterOptimizer(const at::Tensor& loss);

  // Ends this worker's part: exchanges a last partial round, then takes part in the others' exchanges,
  // without contributing, until all have finished. Collective; ranks may come here after different numbers of
  // steps. With total_steps given and reached there is nothing left to do; without, it costs one exchange
  // more.
  //
  // With groups and steps left to total_steps: UsageError.
  void Finish();

  // Finishes the exchange that is under way, if one is. To be called by all ranks after the same step, before
  // they use the communicator for something else, move the weights by hand, or look at records and traces.
  // What becomes of the optimizer's state follows at the beginning of the next Step().
  void Drain();

  // The next step behind which no exchange is under way: steps(), or where the one that is will have landed;
  // far away where each begins as the one before lands. The same on all ranks. Local.
  std::int64_t quiet_at() const;

  // What Step() does with gradients, for who drives rounds by hand: with any weights and fitnesses, no data
  // and no loss (sync/replay.h does so for all workers at once). After backward(), before the optimizer's
  // step: the exchange of ssgd, and of all in their warm-up. Collective for those that exchange there.
  void OnGradients();
  // The same for the end of a round, after its local steps: the exchange of the others. ssgd, after each
  // step, takes note of the weights for the average, if there is to be one. The optimizer's state is not
  // touched. Collective for the synchronizers that exchange there.
  void Exchange(double fitness);

  // The model to evaluate and keep: "mean of the workers", "center" or "replica"; with
  // SyncOptions::final_average, "average over the rounds of the ..." this.
  std::string final_model() const;
  // Writes the weights of that model to `weights` (like FlatParams::weights()) and its buffers, which are the
  // mean of the workers', to `buffers` (like FlatParams::buffers()), the same on all ranks. Collective.
  void WriteFinalModel(const at::Tensor& weights, const at::Tensor& buffers);

  // The whole state of a training but for the optimizer's (checkpoint/state.h), the module's other buffers
  // than those of float32, and what it draws from libtorch's generators: weights, float buffers, what the
  // algorithm remembers, counters. Loading wants a synchronizer of the same name and options, before its
  // first step; then it goes on where the saved one was, to the bit. Local. Throws UsageError while an
  // exchange is under way, and what the visitor throws.
  void VisitState(StateVisitor& state);

  // After a CommError, with SyncOptions::commit: whether all that an exchange of weights brings has arrived,
  // so that other ranks may have applied it; if one has, those that go on together must. Local.
  bool prepared() const { return pending_.has_value() && pending_->collected; }
  // Applies the exchange that is prepared(). Local.
  void ApplyPrepared();

  // How many exchanges of weights this rank has applied. Local; while none is under way (quiet_at()).
  std::int64_t applied() const { return applied_; }

  // Ends the round here, with the exchange that belongs there, whatever the number of its steps; not while
  // gradients are exchanged. Collective.
  void EndRound();

  // Says that so many steps have been made, however many they were: after loading in a world of another size,
  // whose steps take another part of the data. The same on all ranks. Local.
  void CountFrom(std::int64_t steps);

  std::int64_t steps() const { return steps_; }                 // made so far, or what CountFrom() said
  std::int64_t steps_of_round() const { return round_steps_; }  // since the last exchange began
  // Exchanges in which somebody worked, those of gradients included. The same on all ranks.
  std::int64_t rounds() const { return rounds_; }
  // What the last exchange found; all defaults after one of gradients. Not while one is under way (Drain()).
  const ExchangeRecord& last_exchange() const { return record_; }

  // The time of every exchange since the last call of this function; none without SyncOptions::trace.
  std::vector<SyncSpan> TakeSpans();

  // What this rank saw in the rounds since the last call of this function. None while gradients are
  // exchanged, and none without SyncOptions::trace.
  std::vector<RoundTrace> TakeTraces();

 protected:
  struct Overlap;

  // What this rank is in an exchange.
  enum class Role {
    kWorks,     // brings its weights and its fitness
    kLeftOut,   // the guard found it far out: brings nothing, and goes on from the guide with no velocity
    kFinished,  // has no batches any more: is there, but brings nothing
  };
  // What this rank brings to an exchange.
  struct Turn {
    double fitness;                                            // NaN where the weights are not finite
    Role role;                                                 // whether it brings anything
    double judged = std::numeric_limits<double>::quiet_NaN();  // the loss that the guard looks at
    // Whether its weights and its fitness count.
    bool works() const { return role == Role::kWorks; }
  };
  // The first part of an exchange of weights: brings all that is needed into memory of its own and leaves the
  // weights and what the algorithm remembers as they are; returns how many ranks worked. Collective.
  virtual int Collect(const Turn& turn) = 0;
  // The second part: changes both. Called where anybody worked; workers: how many. Local.
  virtual void Apply(const Turn& turn, int workers) = 0;
  // The inertia of this worker; NaN for synchronizers that have none. Local.
  virtual double inertia() const { return std::numeric_limits<double>::quiet_NaN(); }
  // The tensors and numbers of the algorithm's own. Local.
  virtual void VisitAlgorithm(StateVisitor& /*state*/) {}
  // Called at the end of the warm-up: the first round begins at the weights as they are. Local.
  virtual void StartHere() {}
  // Whether gradients are exchanged at every step, rather than weights after a round.
  virtual bool only_gradients() const { return false; }
  // What the workers have found: like FlatParams::weights().
  virtual at::Tensor position() { return params_.weights(); }
  // What position() is called where it is the same on all ranks, such as "center"; "" where it is not, and
  // the final model is the mean of all.
  virtual std::string_view shared_position() const { return ""; }
  // Gives the weights that are exchanged other values and does with them what follows on every exchange,
  // block by block: move(begin, end) changes the weights from `begin` to `end`, and what position() has
  // there. Once in an exchange, if at all; several threads call `move` for different blocks. On a GPU it is
  // called once, for all. Local.
  void MoveWeights(const std::function<void(std::int64_t begin, std::int64_t end)>& move);
  // Called when all ranks have finished after different numbers of steps; rank `longest` made the most.
  // Collective.
  virtual void Settle(int /*longest*/) {}

  // The fitness of each rank, by rank: kNoFitness from one that has finished, NaN from one that was left out,
  // or whose fitness or weights are not finite. Collective: one all-gather.
  std::vector<double> GatherFitness(const Turn& turn);
  // How much of the training this round ends, 0 to 1, the same on all ranks; 0 when total_steps is unknown.
  double progress() const;
  // The part of a velocity that goes on into this round, for its rates and steps beside those of the round
  // before, 0 to 1; the same on all ranks. With Velocity::kNesterov into the next round, 0 where this one
  // ends the training. 1 without SyncOptions::rate, and in EndRound(). Local.
  double carried(Velocity velocity = Velocity::kTotal) const;
  // Waits for an exchange that is under way, whatever becomes of it: what an algorithm does before it goes.
  void AwaitExchange();
  // How many ranks have not finished, by what GatherFitness() gave.
  static int CountWorking(const std::vector<double>& fitness);

  // The weights that are exchanged, as they were given: with an overlap not the model's own.
  FlatParams& params() { return params_; }
  // What the algorithm talks through: with groups, its ranks are the groups.
  Communicator& comm() { return comm_; }
  const SyncOptions& options() const { return options_; }  // with what was left open filled in
  ExchangeRecord& record() { return record_; }             // of this exchange, for Collect() to fill

 private:
  friend std::unique_ptr<Synchronizer> MakeSynchronizer(std::string_view name,
                                                        const SynchronizerFactory& factory,
                                                        FlatParams& params, Communicator& comm,
                                                        const SyncOptions& options);

  // The parameters that train. Those that are exchanged are others where exchanges run beside the training.
  FlatParams& model();
  bool under_way() const;
  bool RoundIsOver() const;
  std::int64_t NextRoundEnd() const { return RoundEndAfter(rounds_end_); }
  std::int64_t RoundEndAfter(std::int64_t end) const;
  void BeginExchange(const Turn& turn);
  void ApplyExchange();
  // All ranks; comm() has the groups as ranks, where there are groups.
  Communicator& everyone();
  void AverageGroup();
  void JoinGroup(Turn& turn);
  void ExchangeRound(double fitness);
  // Whether distances are of use; a pass over the weights more.
  bool measures() const { return options_.trace || options_.guard || !params_.weights().is_cpu(); }
  bool exchanges_gradients() const { return only_gradients() || exchanged_steps_ < options_.warmup_steps; }
  int RunExchange(const Turn& turn);
  GradientMean& gradients();
  int ExchangeGradients(const Turn& turn);
  int ExchangeWeights(const Turn& turn);
  int ApplyPending();
  bool CollectBuffers(const Turn& turn);
  void NoteExchange(int contributors);
  void BeginStep();
  bool EndStep(torch::optim::Optimizer* optimizer, const at::Tensor& loss);
  static bool Forget(torch::optim::Optimizer* optimizer);
  bool SettleMomentum(torch::optim::Optimizer* optimizer, bool works);
  void BeginRounds();
  double NextPartOfAverage();
  void AverageBuffers();
  void AverageReplica();
  Role Judge(const Turn& turn, bool finite, double distance);
  double LossToJudge(double fitness) const;
  void ChargeBytes();
  void ForgetBytes();
  void AddSpan(double arrival, int group_size = 0);
  double RoundFitness();

  FlatParams& params_;
  Communicator& comm_;
  SyncOptions options_;
  std::int64_t steps_ = 0;
  std::int64_t rounds_ = 0;
  std::int64_t round_steps_ = 0;  // since the last exchange
  // The step that the last round was to end with, and the round before it: the same on all ranks, those too
  // that have finished before.
  std::int64_t rounds_end_ = 0, rounds_begin_ = 0;
  bool cuts_round_ = false;           // in EndRound(): where this round ends is in neither of them
  std::int64_t exchanged_steps_ = 0;  // those that exchanged gradients, with this rank or without it
  LossSum round_loss_;
  double last_fitness_ = std::numeric_limits<double>::quiet_NaN();  // of the round before
  std::unique_ptr<HostGroups> groups_;                              // with options_.group_size above 1
  at::Tensor group_mean_;
  std::unique_ptr<MomentaMean> momenta_;
  std::unique_ptr<MomentumOfMove> momentum_of_move_;  // with MomentumAtSync::kMove
  std::unique_ptr<GradientMean> gradients_;
  std::unique_ptr<Overlap> overlap_;  // with options_.overlap
  bool finished_ = false;
  bool in_step_ = false;           // between the two halves of one
  bool warming_up_ = false;        // in this step, which exchanges gradients
  bool moved_ = false;             // by an exchange, and the momentum has not been settled since
  bool left_out_ = false;          // of the last exchange
  std::int64_t exchanged_at_ = 0;  // steps_ when the last exchange of weights began
  int contributors_ = 0;           // to the last exchange of gradients
  ExchangeRecord record_;
  std::vector<SyncSpan> spans_;
  WeightSketch round_start_;           // where the round began
  std::optional<WeightSketch> after_;  // of the weights, in the exchange in which they were moved; 0 where
                                       // nothing is measured
  at::Tensor average_;                 // of the positions so far, with options_.final_average; else undefined
  at::Tensor average_buffers_;         // likewise
  std::int64_t averaged_ = 0;          // how many
  std::int64_t averaged_steps_ = 0;    // the steps of their rounds, where these have lengths of their own
  bool averages_ = true;               // whether the position after this exchange counts
  double part_of_average_ = 0;         // that the last of them is
  // An exchange of weights between its two parts.
  struct Pending {
    Turn turn;
    RoundTrace trace;
    bool finite = true;
    int workers = 0;
    bool takes_buffers = false;
    bool collected = false;
  };
  std::optional<Pending> pending_;
  std::int64_t applied_ = 0;
  at::Tensor arriving_buffers_;  // that replace the own
  std::vector<RoundTrace> traces_;
  double charged_bytes_ = 0;  // those that have been counted for a round, or are of no round
};

// Makes the synchronizer of that name. Collective: rank 0's weights become everybody's. Borrows params and
// comm. Throws UsageError for an unknown name, an option out of range, and when the ranks disagree about any
// of them; CommError when the weights are not the same everywhere afterwards.
std::unique_ptr<Synchronizer> MakeSynchronizer(std::string_view name, FlatParams& params, Communicator& comm,
                                               const SyncOptions& options = {});

// The same for an algorithm of the caller's own (examples/own_synchronizer): a class that overrides name(),
// Collect() and Apply(), and calls AwaitExchange() in its destructor. Guard, groups, overlap, warm-up and
// everything else that belongs to all work with it. What the options leave open is filled in as for
// `average`.
std::unique_ptr<Synchronizer> MakeSynchronizer(std::string_view name, const SynchronizerFactory& factory,
                                               FlatParams& params, Communicator& comm,
                                               const SyncOptions& options = {});

}  // namespace swarmsync
