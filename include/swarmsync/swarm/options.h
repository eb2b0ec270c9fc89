#pragma once

#include <optional>
#include <utility>

#include "swarmsync/base/names.h"

namespace swarmsync {

// What a particle's velocity means (docs/synchronizers/pso-ps.md).
enum class Velocity {
  kSwarm,     // the pulls alone:           v <- w v + s,      x <- y + v
  kTotal,     // the whole move of a round: v <- w v + d + s,  x <- x + v
  kNesterov,  // the same, and the next round begins where it leads:  x <- y + s + w v
};

// How often the factors r1 and r2 are drawn.
enum class RandomScope {
  kNone,     // never: both are 1
  kRound,    // once for each worker and exchange
  kTensor,   // once for each parameter tensor
  kElement,  // once for each weight
};

// How long a best is remembered.
enum class Memory {
  kHistoric,  // until something better comes
  kCurrent,   // for this exchange only: the personal best is the particle itself
  kDecay,     // like historic, but a remembered best's fitness worsens at each exchange
};

// What a worker's fitness is; lower is better.
enum class Fitness {
  kTrainLoss,  // mean of the mini-batch training losses of the round
  kProbe,      // loss at the end of the round on a probe batch that all workers share
};

// Which worker the swarm is pulled to.
enum class Guide {
  kBest,    // the one with the least fitness
  kRandom,  // any of them, drawn anew at each exchange: the control that shows what fitness is worth
};

// The inertia w: a number; two, from the first of which it goes to the second linearly over the training
// (Shi and Eberhart 1998); or `auto`, with which each worker has its own and the swarm selects among them
// (swarm/inertia_tuner.h). Left open, it is the synchronizer's default.
class Inertia {
 public:
  // Left open.
  Inertia() = default;
  // The same number over the whole training. The swarms want it in [0, 1).
  Inertia(double value) : Inertia(value, value) {}
  // The two numbers between which it goes.
  Inertia(double from, double to) : ends_({from, to}) {}
  // A worker has its own, which the swarm selects.
  static Inertia Auto();

  // Whether it is left to the synchronizer.
  bool is_open() const { return !ends_ && !adapts_; }
  bool adapts() const { return adapts_; }                                  // whether it is `auto`
  bool changes() const { return ends_ && ends_->first != ends_->second; }  // whether its numbers differ
  bool varies() const { return adapts() || changes(); }  // whether it is not one number throughout
  // At the beginning of the training. Throws std::bad_optional_access where there are no numbers, as do to(),
  // at() and value().
  double from() const { return ends_.value().first; }
  double to() const { return ends_.value().second; }  // at its end
  // In between. progress: of the training, 0 to 1.
  double at(double progress) const { return from() + progress * (to() - from()); }
  double value() const { return from(); }  // of one that does not change

  friend bool operator!=(const Inertia& a, const Inertia& b) { return !(a == b); }
  friend bool operator==(const Inertia& a, const Inertia& b) {
    return a.ends_ == b.ends_ && a.adapts_ == b.adapts_;
  }

 private:
  std::optional<std::pair<double, double>> ends_;
  bool adapts_ = false;
};

// "0.7", "0.9:0.4" or "auto". Throws UsageError.
Inertia ParseInertia(std::string_view text);
// As text, for ParseInertia(); "" when it is left open.
std::string ToString(const Inertia& inertia);

// The options of the swarms. What is left open has a default for each synchronizer (WithDefaults() in
// sync/options.h); docs/synchronizers/ says where each comes from.
struct PsoOptions {
  Velocity velocity = Velocity::kTotal;  // what v holds
  Inertia inertia;                       // w, in [0, 1)
  double cognitive = 0.0;                // c1, 0 to 4: pull to the personal best
  std::optional<double> social;          // c2, 0 to 4: pull to the guide
  double beta = 1.0;  // 0 to 10^6: how much more a fitter worker counts in informed-pso-ps's guide
  RandomScope random = RandomScope::kNone;  // how often r1 and r2 are drawn
  Guide guide = Guide::kBest;               // of pso-ps; a random one wants Memory::kCurrent
  Memory memory = Memory::kCurrent;         // how long bests are remembered
  double memory_decay = 0.05;               // in [0, 1], for Memory::kDecay
};

// Throws UsageError that names the option, the value found and the values allowed.
void Validate(const PsoOptions& options);

// What is allowed and yet cannot be meant, a line each; empty when there is nothing to say.
std::vector<std::string> Warnings(const PsoOptions& options);

template <>
struct EnumNames<Velocity> {
  static constexpr std::string_view kWhat = "velocity";
  static constexpr std::array<std::pair<Velocity, std::string_view>, 3> kNames{
      {{Velocity::kSwarm, "swarm"}, {Velocity::kTotal, "total"}, {Velocity::kNesterov, "nesterov"}}};
};
template <>
struct EnumNames<RandomScope> {
  static constexpr std::string_view kWhat = "randomness scope";
  static constexpr std::array<std::pair<RandomScope, std::string_view>, 4> kNames{
      {{RandomScope::kNone, "none"},
       {RandomScope::kRound, "round"},
       {RandomScope::kTensor, "tensor"},
       {RandomScope::kElement, "element"}}};
};
template <>
struct EnumNames<Guide> {
  static constexpr std::string_view kWhat = "guide";
  static constexpr std::array<std::pair<Guide, std::string_view>, 2> kNames{
      {{Guide::kBest, "best"}, {Guide::kRandom, "random"}}};
};
template <>
struct EnumNames<Memory> {
  static constexpr std::string_view kWhat = "memory";
  static constexpr std::array<std::pair<Memory, std::string_view>, 3> kNames{
      {{Memory::kHistoric, "historic"}, {Memory::kCurrent, "current"}, {Memory::kDecay, "decay"}}};
};
template <>
struct EnumNames<Fitness> {
  static constexpr std::string_view kWhat = "fitness";
  static constexpr std::array<std::pair<Fitness, std::string_view>, 2> kNames{
      {{Fitness::kTrainLoss, "train-loss"}, {Fitness::kProbe, "probe"}}};
};

}  // namespace swarmsync
