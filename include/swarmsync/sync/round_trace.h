#pragma once

#include <cstdint>
#include <vector>

#include "swarmsync/checkpoint/state.h"
#include "swarmsync/swarm/sketch.h"

namespace swarmsync {

// What one rank saw of one round. Norms are estimates from sketches, good to some 4 %.
struct RoundTrace {
  std::int64_t round = 0;   // counted from 1, as Synchronizer::rounds()
  std::int64_t step = 0;    // of this rank, at the end of the round
  double fitness = 0;       // kNoFitness for a worker that has finished, NaN for one that could not guide
  double displacement = 0;  // |y - x|: what the local steps moved
  double pull = 0;          // |x' - y|: what the exchange moved
  double move = 0;          // |x' - x|: the whole round, the velocity of a swarm with velocity `total`
  double arrival = 0;       // at the exchange, by the clock of base/clock.h
  double seconds = 0;       // in the exchange, waiting included
  double bytes = 0;         // sent for it (SyncOptions::bytes_sent)
  bool left_out = false;    // by the guard
  double inertia = 0;       // of this worker; NaN for synchronizers that have none
  WeightSketch end;         // of y
};

// What all ranks saw of it together.
struct RoundRecord {
  std::int64_t round = 0;       // counted from 1, as Synchronizer::rounds()
  std::int64_t step = 0;        // of rank 0
  std::vector<double> fitness;  // by rank; as RoundTrace::fitness
  int best = -1;                // the rank with the least finite fitness
  double improvement = 0;       // of the least fitness so far, 0 when this round found no better
  double spread = 0;            // root mean square distance of the workers' y from their mean
  double displacement = 0;      // mean over the workers of RoundTrace::displacement
  // Mean over the workers of RoundTrace::pull.
  double pull = 0, move = 0;    // likewise of RoundTrace::move
  double seconds = 0;           // mean over all ranks
  double bytes = 0;             // sent by a worker, the mean
  std::vector<int> left_out;    // ranks
  std::vector<double> inertia;  // by rank
};

// Puts the traces of all ranks together, round by round. Keeps the least fitness so far. Not thread-safe.
class RoundRecorder {
 public:
  // traces: of one round, by rank. A worker that has finished or was left out counts in no mean.
  RoundRecord Combine(const std::vector<RoundTrace>& traces);

  // The least fitness so far, which all workers hold alike.
  void VisitState(StateVisitor& state);

 private:
  double least_fitness_ = 0;
  bool has_fitness_ = false;
};

}  // namespace swarmsync
