#pragma once

#include <cstdint>

#include "swarmsync/swarm/sketch.h"
#include "swarmsync/swarm/update.h"

// What this room does with weights in a GPU's memory, where they stay. All pointers are the GPU's. The
// kernels go to the calling thread's current stream of its current device (c10's). Without CUDA, where no
// tensor can be on a GPU, these functions throw.
namespace swarmsync {

// A piece of a parameter tensor, as a block of threads moves it.
struct ParticlePiece {
  std::int64_t begin = 0;  // where it lies in the arrays of the particle
  std::int64_t size = 0;
  std::uint64_t tensor = 0;         // as in RandomFactors
  std::uint64_t first_element = 0;  // likewise, of this piece's first weight
};

constexpr std::int64_t kParticlePieceSize = 4096;  // at most

// MoveParticle() for all parameter tensors of a model in one launch. particle: the flat arrays that the
// pieces are parts of; its size does not matter. random: its tensor and first_element do not matter. The same
// bits as on the CPU. Local; returns before the move is done. Throws RunError when it cannot be launched.
void MoveParticleOnDevice(const ParticleSpan& particle, const ParticlePiece* pieces, std::int64_t num_pieces,
                          const PsoOptions& options, const RandomFactors& random);

// The sketch of `size` floats: that of WeightSketch's constructor, added up in another order. Local; waits
// for the stream. Throws RunError when it fails.
WeightSketch SketchOnDevice(const float* values, std::int64_t size);

}  // namespace swarmsync
