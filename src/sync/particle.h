#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "swarmsync/params/flat_params.h"
#include "swarmsync/sync/options.h"

namespace swarmsync {

// A worker's weights as a particle: where its round began and its velocity, and the fused move
// (swarm/update.h) over all parameter tensors. Borrows the parameters. Local.
class Particle {
 public:
  Particle(FlatParams& params, const SyncOptions& options, int rank);

  // The next round begins at the weights as they are; the velocity stays.
  void StartHere();

  // Moves the weights. An undefined tensor switches its pull off. exchange: its number, for the random
  // factors.
  void Move(const at::Tensor& personal_best, const at::Tensor& guide, std::uint32_t exchange);

  // Takes the weights to `position`, with no velocity.
  void Restart(const at::Tensor& position);

 private:
  FlatParams& params_;
  PsoOptions options_;
  std::uint64_t seed_;
  std::uint32_t rank_;
  at::Tensor velocity_;
  at::Tensor start_;  // undefined with Velocity::kSwarm, which does without
};

}  // namespace swarmsync
