#include "sync/particle.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "swarm/device.h"

namespace swarmsync {
namespace {

float* Data(const at::Tensor& flat) { return flat.defined() ? flat.data_ptr<float>() : nullptr; }

// The part of a particle's arrays that is a parameter tensor's.
ParticleSpan At(ParticleSpan whole, const FlatParams::Slot& slot) {
  const auto advance = [&](auto*& array) {
    if (array != nullptr) array += slot.offset;
  };
  whole.size = slot.size;
  advance(whole.weights);
  advance(whole.velocity);
  advance(whole.start);
  advance(whole.personal_best);
  advance(whole.global_best);
  return whole;
}

at::Tensor PiecesOnDevice(const FlatParams& params) {
  std::vector<ParticlePiece> pieces;
  std::uint64_t tensor = 0;
  for (const FlatParams::Slot& slot : params.slots()) {
    for (std::int64_t begin = 0; begin < slot.size; begin += kParticlePieceSize) {
      pieces.push_back({slot.offset + begin, std::min(kParticlePieceSize, slot.size - begin), tensor,
                        static_cast<std::uint64_t>(slot.logical_offset + begin)});
    }
    ++tensor;
  }
  const auto bytes = static_cast<std::int64_t>(pieces.size() * sizeof(ParticlePiece));
  return at::from_blob(pieces.data(), {bytes}, at::kByte).to(params.weights().device());
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
  if (!params.weights().is_cpu()) pieces_ = PiecesOnDevice(params);
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
  ParticleSpan whole;
  whole.weights = Data(params_.weights());
  whole.velocity = Data(velocity_);
  whole.start = Data(start_);
  whole.personal_best = Data(personal_best);
  whole.global_best = Data(guide);
  RandomFactors random{Philox(seed_), options_.random, exchange, static_cast<std::uint32_t>(comm_.rank())};
  if (pieces_.defined()) {
    MoveParticleOnDevice(whole, reinterpret_cast<const ParticlePiece*>(pieces_.data_ptr<std::uint8_t>()),
                         pieces_.numel() / static_cast<std::int64_t>(sizeof(ParticlePiece)), options_,
                         random);
    return;
  }
  for (const FlatParams::Slot& slot : params_.slots()) {
    random.first_element = static_cast<std::uint64_t>(slot.logical_offset);
    MoveParticle(At(whole, slot), options_, random);
    ++random.tensor;
  }
}

void Particle::Restart(const at::Tensor& position) {
  params_.weights().copy_(position);
  StartHere();
  velocity_.zero_();
}

}  // namespace swarmsync
