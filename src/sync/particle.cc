#include "sync/particle.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

namespace swarmsync {
namespace {

float* Data(const at::Tensor& flat) { return flat.defined() ? flat.data_ptr<float>() : nullptr; }

// The part of a particle's arrays that a piece is.
ParticleSpan At(ParticleSpan whole, const ParticlePiece& piece) {
  const auto advance = [&](auto*& array) {
    if (array != nullptr) array += piece.begin;
  };
  whole.size = piece.size;
  advance(whole.weights);
  advance(whole.velocity);
  advance(whole.start);
  advance(whole.personal_best);
  advance(whole.global_best);
  return whole;
}

// The parameter tensors, cut where a multiple of `block` elements of the flat tensor is.
std::vector<ParticlePiece> PiecesOf(const FlatParams& params, std::int64_t block) {
  std::vector<ParticlePiece> pieces;
  std::uint64_t tensor = 0;
  for (const FlatParams::Slot& slot : params.slots()) {
    const std::int64_t end = slot.offset + slot.size;
    for (std::int64_t begin = slot.offset, next; begin < end; begin = next) {
      next = std::min(end, (begin / block + 1) * block);
      pieces.push_back({begin, next - begin, tensor,
                        static_cast<std::uint64_t>(slot.logical_offset + begin - slot.offset)});
    }
    ++tensor;
  }
  return pieces;
}

at::Tensor OnDevice(std::vector<ParticlePiece>& pieces, const at::Device& device) {
  const auto bytes = static_cast<std::int64_t>(pieces.size() * sizeof(ParticlePiece));
  return at::from_blob(pieces.data(), {bytes}, at::kByte).to(device);
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
  if (NeedsStart(options_.velocity)) start_ = params.weights().clone();
  const bool on_cpu = params.weights().is_cpu();
  pieces_ = PiecesOf(params, on_cpu ? kWeightBlock : kParticlePieceSize);
  if (!on_cpu) device_pieces_ = OnDevice(pieces_, params.weights().device());
}

void Particle::StartHere() {
  if (start_.defined()) start_.copy_(params_.weights());
}

void Particle::Collect(const std::vector<double>& fitness) {
  if (!tuner_) return;
  next_tuner_ = tuner_;
  const auto [teacher, pupil] = next_tuner_->Update(fitness);
  pupil_ = pupil;
  if (teacher >= 0) comm_.Broadcast(comm_.rank() == teacher ? velocity_ : arriving_, teacher);
}

void Particle::Learn() {
  if (!tuner_) return;
  tuner_ = next_tuner_;
  if (pupil_ != comm_.rank()) return;
  std::swap(velocity_, arriving_);
  options_.inertia = tuner_->inertias()[pupil_];
}

BlockWork Particle::Move(const at::Tensor& personal_best, const at::Tensor& guide, std::uint32_t exchange,
                         double progress, double carried) {
  if (!tuner_) options_.inertia = inertia_.at(progress);
  PsoOptions options = options_;
  options.inertia = carried * inertia();
  ParticleSpan whole;
  whole.weights = Data(params_.weights());
  whole.velocity = Data(velocity_);
  whole.start = Data(start_);
  whole.personal_best = Data(personal_best);
  whole.global_best = Data(guide);
  RandomFactors random{Philox(seed_), options_.random, exchange, static_cast<std::uint32_t>(comm_.rank())};
  if (device_pieces_.defined()) {
    return [this, whole, options, random](std::int64_t, std::int64_t) {
      const auto* const pieces =
          reinterpret_cast<const ParticlePiece*>(device_pieces_.data_ptr<std::uint8_t>());
      MoveParticleOnDevice(whole, pieces, static_cast<std::int64_t>(pieces_.size()), options, random);
    };
  }
  return [this, whole, options, random](std::int64_t begin, std::int64_t end) {
    const auto starts_before = [](const ParticlePiece& piece, std::int64_t place) {
      return piece.begin < place;
    };
    RandomFactors factors = random;
    for (auto piece = std::lower_bound(pieces_.begin(), pieces_.end(), begin, starts_before);
         piece != pieces_.end() && piece->begin < end; ++piece) {
      factors.tensor = piece->tensor;
      factors.first_element = piece->first_element;
      MoveParticle(At(whole, *piece), options, factors);
    }
  };
}

void Particle::Restart(const at::Tensor& position) {
  params_.weights().copy_(position);
  StartHere();
  velocity_.zero_();
}

// In a world of another size nobody's inertia is known, and all begin again.
void Particle::VisitState(StateVisitor& state) {
  state.Tensor("velocity", Held::kByEach, velocity_);
  state.Tensor("start", Held::kByEach, start_);
  if (!tuner_ || !state.same_world()) return;
  tuner_->VisitNumbers(
      [&](const std::string& name, auto& number) { state.Number(name, Held::kByAll, number); });
  options_.inertia = tuner_->inertias()[comm_.rank()];
}

}  // namespace swarmsync
