#pragma once

#include <type_traits>

#include "swarmsync/base/host_device.h"
#include "swarmsync/swarm/update.h"

// What the processors' kernels of MoveParticle() share (update.cc, device.cu).
namespace swarmsync {

struct MovedElement {
  float position, velocity;
};

// The move of one weight, in the order of operations that tests/sync/make_goldens.py repeats:
//   s = 0;  s = s + (c1 r1) (p - y);  s = s + (c2 r2) (g - y)
//   swarm:     v = w v + s;                x = y + v
//   total:     v = ((w v) + (y - x)) + s;  x = x + v
//   nesterov:  v = w ((v + (y - x)) + s);  x = (y + s) + v
// To be compiled without contraction of a*b+c, so that the result does not depend on the processor.
template <Velocity kVelocity, bool kPersonal, bool kGlobal>
SWARMSYNC_HOST_DEVICE inline MovedElement MoveElement(float y, float v, float x, float p, float g, float w,
                                                      float c1, float c2) {
  float s = 0;
  if constexpr (kPersonal) s = s + c1 * (p - y);
  if constexpr (kGlobal) s = s + c2 * (g - y);
  if constexpr (kVelocity == Velocity::kSwarm) {
    v = w * v + s;
    return {y + v, v};
  } else if constexpr (kVelocity == Velocity::kTotal) {
    v = (w * v + (y - x)) + s;
    return {x + v, v};
  } else {
    v = w * ((v + (y - x)) + s);
    return {(y + s) + v, v};
  }
}

template <Velocity kVelocity>
constexpr bool kNeedsStart = NeedsStart(kVelocity);

// Calls f with std::true_type or std::false_type.
template <class F>
void Choose(bool value, F&& f) {
  if (value) {
    f(std::true_type{});
  } else {
    f(std::false_type{});
  }
}

// Calls f with the velocity as a constant.
template <class F>
void WithVelocity(Velocity velocity, F&& f) {
  switch (velocity) {
    case Velocity::kSwarm:
      return f(std::integral_constant<Velocity, Velocity::kSwarm>{});
    case Velocity::kTotal:
      return f(std::integral_constant<Velocity, Velocity::kTotal>{});
    case Velocity::kNesterov:
      return f(std::integral_constant<Velocity, Velocity::kNesterov>{});
  }
}

// Calls f(velocity, personal, global), the last two std::true_type or std::false_type: the terms of the move.
// What is switched off costs nothing.
template <class F>
void WithTerms(const ParticleSpan& span, const PsoOptions& options, F&& f) {
  WithVelocity(options.velocity, [&](auto velocity) {
    Choose(span.personal_best != nullptr, [&](auto personal) {
      Choose(span.global_best != nullptr, [&](auto global) { f(velocity, personal, global); });
    });
  });
}

}  // namespace swarmsync
