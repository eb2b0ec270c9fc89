#pragma once

#include <cstdint>

#include "swarmsync/base/philox.h"
#include "swarmsync/swarm/options.h"

namespace swarmsync {

// The weights of one parameter tensor of one worker, and the state that goes with them: arrays of `size`
// floats. A null pointer switches its term off.
struct ParticleSpan {
  std::int64_t size = 0;      // weights in the tensor
  float* weights = nullptr;   // y, the end of the local steps; becomes x, the new position
  float* velocity = nullptr;  // v, or with Velocity::kNesterov what is kept of it, u; required
  float* start = nullptr;     // x, where the round began; becomes the new position. Required where
                              // NeedsStart()
  const float* personal_best = nullptr;  // p
  const float* global_best = nullptr;    // g
};

// Whether the move of a particle with such a velocity takes in where the round began.
constexpr bool NeedsStart(Velocity velocity) { return velocity != Velocity::kSwarm; }

// Where a tensor's random factors come from.
struct RandomFactors {
  Philox philox{0};                        // of the swarm's seed
  RandomScope scope = RandomScope::kNone;  // how often they are drawn
  std::uint32_t exchange = 0;              // the exchange's number, from 0
  std::uint32_t rank = 0;                  // of the worker
  std::uint64_t tensor = 0;                // the tensor's number in the model
  std::uint64_t first_element = 0;  // the logical index of the tensor's first weight (FlatParams::Slot)
};

// Moves a particle, in one pass over memory (the equations of pso-ps; docs/synchronizers/pso-ps.md):
//   s = c1 r1 (p - y) + c2 r2 (g - y)
//   swarm:    v <- w v + s,                      x <- y + v
//   total:    v <- w v + (y - x) + s,            x <- x + v
//   nesterov: v <- u + (y - x) + s,  u <- w v,   x <- y + s + u
// options: complete, with social given and an inertia that is one number. Local. Several tensors may be moved
// at once from several threads.
void MoveParticle(const ParticleSpan& span, const PsoOptions& options, const RandomFactors& random);

}  // namespace swarmsync
