// In a build without CUDA; device.cu is for the others.

#ifndef SWARMSYNC_CUDA

#include "swarm/device.h"

#include "swarmsync/base/error.h"

namespace swarmsync {

void MoveParticleOnDevice(const ParticleSpan&, const ParticlePiece*, std::int64_t, const PsoOptions&,
                          const RandomFactors&) {
  throw RunError("this swarmsync was built without CUDA and cannot move weights on a GPU");
}

WeightSketch SketchOnDevice(const float*, std::int64_t) {
  throw RunError("this swarmsync was built without CUDA and cannot sketch weights on a GPU");
}

}  // namespace swarmsync

#endif
