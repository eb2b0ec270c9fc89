#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "swarmsync/comm/wire.h"
#include "swarmsync/swarm/options.h"

namespace swarmsync {

// What becomes of the local optimizer's state (momentum, Adam's moments) when an exchange moves the weights.
enum class MomentumAtSync {
  kKeep,     // it goes on
  kReset,    // the optimizer begins each round as it began the training
  kAverage,  // it becomes the mean over the workers: an all-reduce as large as the state, beside the
             // exchange's own
  kMove,     // SGD's becomes what the weights' move tells of it (docs/exchanges.md), which costs no bytes;
             // what other optimizers keep goes on
};
template <>
struct EnumNames<MomentumAtSync> {
  static constexpr std::string_view kWhat = "policy for the momentum";
  static constexpr std::array<std::pair<MomentumAtSync, std::string_view>, 4> kNames{
      {{MomentumAtSync::kKeep, "keep"},
       {MomentumAtSync::kReset, "reset"},
       {MomentumAtSync::kAverage, "average"},
       {MomentumAtSync::kMove, "move"}}};
};

// What an exchange of weights does with the module's float buffers, which are BatchNorm's running statistics.
// Those of the final model are the mean of the workers' in any case. While gradients are exchanged buffers
// are not: they have no part in the training, and a mean of running means is the running mean of the means.
enum class BuffersAtSync {
  kAverage,  // they become the mean over the workers
  kGuide,    // all take those of the worker with the best fitness
  kLocal,    // each worker keeps its own; one that the guard leaves out takes the mean
};
template <>
struct EnumNames<BuffersAtSync> {
  static constexpr std::string_view kWhat = "policy for the buffers";
  static constexpr std::array<std::pair<BuffersAtSync, std::string_view>, 3> kNames{
      {{BuffersAtSync::kAverage, "average"},
       {BuffersAtSync::kGuide, "guide"},
       {BuffersAtSync::kLocal, "local"}}};
};

// The options of the synchronizers that are no swarms. docs/synchronizers/ has the equations.
struct PeerOptions {
  double elastic_alpha = 0;         // easgd: a worker's step towards the center; 0: 0.9 / workers
  double slow_alpha = 1;            // slowmo: the outer step; 1 is BMUF
  std::optional<double> slow_beta;  // slowmo: the outer momentum, in [0, 1)
  double outer_lr = 0.7;            // diloco: learning rate of the outer SGD
  double outer_momentum = 0.9;      // diloco: its Nesterov momentum, in [0, 1)
};

// What every synchronizer can be told. The same on all ranks, but for the functions.
struct SyncOptions {
  std::int64_t period = 16;              // local steps between two exchanges, the same on all ranks
  std::vector<std::int64_t> round_ends;  // the steps that end a round, ascending, where rounds are not alike
                                         // (sync/round_ends.h); needs total_steps. Empty: every `period`
                                         // steps. The period then is what they have on average, and
                                         // all but the last are longer than an overlap below it
  std::int64_t total_steps = 0;  // when known and the same on all ranks: the step that ends the training with
                                 // an exchange. 0: unknown, and Finish() ends the training
  std::int64_t warmup_steps = 0;  // as many steps at the start exchange gradients, as ssgd does; the rounds
                                  // begin after them (post-local SGD)
  std::uint64_t seed = 0;         // of all that the algorithm draws
  double local_momentum = 0;  // of the local optimizer, in [0, 1): inertia and slow_beta, left open, are less
                              // where it has one
  PsoOptions swarm;           // of pso-ps, informed-pso-ps and leader
  PeerOptions peers;          // of easgd, slowmo and diloco
  Fitness fitness = Fitness::kTrainLoss;                    // what a worker's fitness is
  MomentumAtSync momentum_at_sync = MomentumAtSync::kKeep;  // of the local optimizer's state
  BuffersAtSync buffers = BuffersAtSync::kAverage;          // of the module's float buffers
  Wire wire = Wire::kFp32;   // of weights and gradients; buffers and momenta travel whole
  std::int64_t overlap = 0;  // an exchange runs while the next steps are made and is applied so many steps
                             // late, or at Drain(); at most the period. 0: at once
  int group_size = 1;  // above 1: so many consecutive ranks, such as those of one host, are one worker for
                       // the algorithm, which their leader speaks for (docs/exchanges.md). Divides the
                       // number of ranks. Finish() then wants total_steps
  std::int64_t group_period = 0;  // local steps between two averages of the weights within a group, at most
                                  // the period; 0: a quarter of it, at least 1
  std::int64_t bucket_bytes = 4'000'000;  // gradients travel in parts of about this size (ExpectGradients())
  double clip_grad_norm =
      0;  // above 0: the gradient is scaled down to this norm, after gradients were exchanged
  std::optional<double> final_average;  // p > 0: the final model is the average of the positions after all
                                        // rounds, of round k with a weight of about k^p; 0: the last
                                        // position. Left open, it is the synchronizer's default
  bool guard = false;  // leave a worker that is far out or not finite out of the exchange (swarm/guard.h)
  // An exchange of weights ends in a barrier, behind which it is applied. So one that fails is applied by all
  // ranks that live on or by none (Synchronizer::prepared()). It costs a small all-gather.
  bool commit = false;
  bool trace = false;  // keep what TakeSpans() and TakeTraces() give, some 2 KB a round until they are called
  // The learning rate of a step, from 1, up to a factor; the same on all ranks. Of a velocity less is carried
  // into a round of lower rates or fewer steps (docs/exchanges.md). Without it all is. Asked for steps up to
  // two rounds ahead, but never beyond total_steps, where that is known. Local; any thread.
  std::function<double(std::int64_t step)> rate;
  std::function<double()> bytes_sent;  // by this worker up to now, for the traces. Local; any thread
  std::function<double()> probe;  // the loss at the weights as they are, on samples that all workers share.
                                  // Local. Fitness::kProbe needs it; the guard judges by it, or by the
                                  // round's fitness when there is none
};

// Throws UsageError that names the option, the value found and the values allowed. workers: of the world, or
// groups, for the limit of elastic_alpha.
void Validate(const PeerOptions& options, int workers);
// The same for SyncOptions::final_average, which is from 0 to 1000.
void ValidateFinalAverage(double power);

// The names that MakeSynchronizer() knows.
std::vector<std::string> SynchronizerNames();

// The options, under their flags' names, that the synchronizer of that name looks at, beyond those that
// belong to all. Throws UsageError for an unknown name.
std::vector<std::string> OptionsOf(std::string_view synchronizer);

// What an exchange of the synchronizer of that name sends, as a part of an all-reduce of the weights: 1, or
// 0.5 for a broadcast. Throws UsageError for an unknown name.
double RelativeCost(std::string_view synchronizer);

// The options with what was left open filled in by the defaults of the synchronizer of that name; inertia and
// slow_beta depend on the period and the local momentum, social and group_period on the period. Throws
// UsageError for an unknown name.
SyncOptions WithDefaults(std::string_view synchronizer, SyncOptions options);

}  // namespace swarmsync
