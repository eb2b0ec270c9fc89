#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "swarm/device.h"
#include "swarmsync/checkpoint/state.h"
#include "swarmsync/comm/communicator.h"
#include "swarmsync/params/flat_params.h"
#include "swarmsync/swarm/inertia_tuner.h"
#include "swarmsync/swarm/update.h"
#include "swarmsync/sync/options.h"
#include "sync/blocks.h"

namespace swarmsync {

// A worker's weights as a particle: where its round began and its velocity, and the fused move
// (swarm/update.h) over all parameter tensors. Borrows the parameters. Local.
class Particle {
 public:
  // comm: for --inertia auto.
  Particle(FlatParams& params, const SyncOptions& options, Communicator& comm);

  // The next round begins at the weights as they are; the velocity stays.
  void StartHere();

  // With --inertia auto: gets what is learned from the others' fitness, by rank. Collective: a broadcast of
  // the teacher's velocity, in the exchanges in which somebody learns. Else it does nothing.
  void Collect(const std::vector<double>& fitness);
  // Learns it. Local.
  void Learn();

  // What moves the weights, a block after another. An undefined tensor switches its pull off. exchange: its
  // number, for the random factors. progress: of the training, for an inertia that changes with it. carried:
  // what is left of a velocity before the inertia: into this round, or with Velocity::kNesterov into the
  // next. Borrows the tensors' memory. On a GPU, where it is called once, it moves all.
  BlockWork Move(const at::Tensor& personal_best, const at::Tensor& guide, std::uint32_t exchange,
                 double progress, double carried);

  double inertia() const { return options_.inertia.value(); }  // of the last move, apart from `carried`

  // Takes the weights to `position`, with no velocity.
  void Restart(const at::Tensor& position);

  void VisitState(StateVisitor& state);

 private:
  FlatParams& params_;
  PsoOptions options_;  // with the inertia that it has now
  Inertia inertia_;     // as it was asked for
  std::uint64_t seed_;
  Communicator& comm_;
  std::optional<InertiaTuner> tuner_, next_tuner_;  // with --inertia auto; after what was collected
  int pupil_ = -1;                                  // then
  at::Tensor velocity_;                             // with Velocity::kNesterov what is kept of it
  at::Tensor arriving_;                             // where a teacher's velocity arrives
  at::Tensor start_;                                // undefined with Velocity::kSwarm, which does without
  std::vector<ParticlePiece> pieces_;               // parts of parameter tensors, each within a block
  at::Tensor device_pieces_;                        // they, in the GPU's memory; undefined on the CPU
};

}  // namespace swarmsync
