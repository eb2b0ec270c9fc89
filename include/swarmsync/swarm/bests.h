#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "swarmsync/swarm/options.h"

namespace swarmsync {

// The fitness of who has none: it is never the least.
constexpr double kNoFitness = std::numeric_limits<double>::infinity();

// The index of the least finite fitness, the lowest index on ties; -1 when none is finite.
int BestOf(const std::vector<double>& fitness);
// The index of one with a finite fitness, all equally likely for a random word; -1 when there is none.
int AnyOf(const std::vector<double>& fitness, std::uint32_t word);

// The fitness of a worker's personal best and of the swarm's global best, and when each is replaced. Every
// worker keeps one; given the same fitnesses, all of them agree on the global best. Pure: no weights here.
class Bests {
 public:
  // What an exchange has found to be better than what was remembered.
  struct Verdict {
    bool personal_replaced = false;  // p <- y
    bool global_replaced = false;    // g <- y of the guide
  };

  // Nothing is remembered yet. decay: the rate at which Memory::kDecay worsens a best b, by decay · |b| at
  // each exchange.
  Bests(Memory memory, double decay) : memory_(memory), decay_(decay) {}

  // One exchange: the fitnesses of all workers, which of them this one is, and which is the guide (-1: none).
  Verdict Update(const std::vector<double>& fitness, int rank, int guide);

  // As if this worker had found nothing yet.
  void ForgetPersonal() { personal_ = kNoFitness; }

  double personal() const { return personal_; }  // kNoFitness when there is none
  double global() const { return global_; }      // likewise

  // Calls visit(name, number, alike) for each number that is remembered; alike: the same on all workers.
  template <class Visit>
  void VisitNumbers(Visit&& visit) {
    visit("personal fitness", personal_, false);
    visit("global fitness", global_, true);
  }

 private:
  Memory memory_;
  double decay_;
  double personal_ = kNoFitness;
  double global_ = kNoFitness;
};

}  // namespace swarmsync
