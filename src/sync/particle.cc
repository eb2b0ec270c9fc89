#include "sync/particle.h"

#include <ATen/ATen.h>

#include "swarmsync/swarm/update.h"

namespace swarmsync {
namespace {

float* At(const at::Tensor& flat, const FlatParams::Slot& slot) {
  return flat.defined() ? flat.data_ptr<float>() + slot.offset : nullptr;
}

}  // namespace

Particle::Particle(FlatParams& params, const SyncOptions& options, Communicator& comm)
    : params_(params),
      options_(options.swarm),
      inertia_(options.swarm.inertia),
      seed_(options.seed),
      comm_(comm),
      velocity_(params.NewState()) {
  if (inertia_.adapts()) {
    tuner_.emplace(comm.size(), options.seed);
    options_.inertia = tuner_->inertias()[comm.rank()];
    arriving_ = params.NewState();
  }
  if (options_.velocity == Velocity::kTotal) start_ = params.weights().clone();
}

void Particle::StartHere() {
  if (start_.defined()) start_.copy_(params_.weights());
}

void Particle::Learn(const std::vector<double>& fitness) {
  if (!tuner_) return;
  const InertiaTuner::Lesson lesson = tuner_->Update(fitness);
  if (lesson.teacher < 0) return;
  comm_.Broadcast(comm_.rank() == lesson.teacher ? velocity_ : arriving_, lesson.teacher);
  if (comm_.rank() != lesson.pupil) return;
  std::swap(velocity_, arriving_);
  options_.inertia = tuner_->inertias()[lesson.pupil];
}

void Particle::Move(const at::Tensor& personal_best, const at::Tensor& guide, std::uint32_t exchange,
                    double progress) {
  if (!tuner_) options_.inertia = inertia_.at(progress);
  RandomFactors random{Philox(seed_), options_.random, exchange, static_cast<std::uint32_t>(comm_.rank())};
  for (const FlatParams::Slot& slot : params_.slots()) {
    ParticleSpan span;
    span.size = slot.size;
    span.weights = At(params_.weights(), slot);
    span.velocity = At(velocity_, slot);
    span.start = At(start_, slot);
    span.personal_best = At(personal_best, slot);
    span.global_best = At(guide, slot);
    random.first_element = static_cast<std::uint64_t>(slot.logical_offset);
    MoveParticle(span, options_, random);
    ++random.tensor;
  }
}

void Particle::Restart(const at::Tensor& position) {
  params_.weights().copy_(position);
  StartHere();
  velocity_.zero_();
}

}  // namespace swarmsync
