// The move of a particle on the CPU. This file is compiled without contraction of a*b+c, so that the result
// does not depend on the machine.

#include "swarmsync/swarm/update.h"

#include <algorithm>

#include "base/avx2.h"
#include "swarm/move_element.h"
#include "swarm/philox_words.h"

namespace swarmsync {
namespace {

// Elements whose factors are drawn at once: they stay in the cache, and leave DrawWords() no part of a
// vector.
constexpr std::int64_t kBlock = 480;

// The coefficient of a pull: c r, one number for a whole tensor.
struct ConstantCoefficient {
  float value;
  void Prepare(std::int64_t, std::int64_t) {}
  float operator[](std::int64_t) const { return value; }
};

// out[i] <- scale u_i, of the words' u_i in [0, 1).
#ifdef SWARMSYNC_AVX2
SWARMSYNC_AVX2 void ScaleWide(const std::uint32_t* words, std::int64_t count, float scale, float* out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = scale * Philox::ToUniform(words[i]);
}
#endif
void Scale(const std::uint32_t* words, std::int64_t count, float scale, float* out) {
#ifdef SWARMSYNC_AVX2
  if (HasAvx2()) return ScaleWide(words, count, scale, out);
#endif
  for (std::int64_t i = 0; i < count; ++i) out[i] = scale * Philox::ToUniform(words[i]);
}

// The coefficient of a pull: c r, a number for each element, drawn block by block.
struct ElementCoefficient {
  float scale;
  Philox philox;
  std::uint32_t exchange, rank;
  RandomPurpose purpose;
  std::uint64_t first_element;
  float values[kBlock] = {};

  void Prepare(std::int64_t begin, std::int64_t count) {
    std::uint32_t words[kBlock];
    DrawWords(philox, exchange, rank, purpose, first_element + static_cast<std::uint64_t>(begin), count,
              words);
    Scale(words, count, scale, values);
  }
  float operator[](std::int64_t i) const { return values[i]; }
};

template <Velocity kVelocity, bool kPersonal, bool kGlobal, class Coefficient>
void Move(const ParticleSpan& span, float w, Coefficient c1, Coefficient c2) {
  for (std::int64_t begin = 0; begin < span.size; begin += kBlock) {
    const std::int64_t count = std::min(kBlock, span.size - begin);
    if constexpr (kPersonal) c1.Prepare(begin, count);
    if constexpr (kGlobal) c2.Prepare(begin, count);
    float* __restrict x = span.weights + begin;
    float* __restrict v = span.velocity + begin;
    float* __restrict x0 = kNeedsStart<kVelocity> ? span.start + begin : nullptr;
    const float* __restrict p = kPersonal ? span.personal_best + begin : nullptr;
    const float* __restrict g = kGlobal ? span.global_best + begin : nullptr;
    // They are apart, and too many for the compiler to compare them all by pairs at run time.
#pragma GCC ivdep
    for (std::int64_t i = 0; i < count; ++i) {
      const MovedElement moved = MoveElement<kVelocity, kPersonal, kGlobal>(
          x[i], v[i], kNeedsStart<kVelocity> ? x0[i] : 0, kPersonal ? p[i] : 0, kGlobal ? g[i] : 0, w,
          kPersonal ? c1[i] : 0, kGlobal ? c2[i] : 0);
      x[i] = moved.position;
      v[i] = moved.velocity;
      if constexpr (kNeedsStart<kVelocity>) x0[i] = moved.position;
    }
  }
}

template <class Coefficient>
void MoveWith(const ParticleSpan& span, const PsoOptions& options, const Coefficient& c1,
              const Coefficient& c2) {
  WithTerms(span, options, [&](auto velocity, auto personal, auto global) {
    Move<velocity.value, personal.value, global.value>(span, static_cast<float>(options.inertia.value()), c1,
                                                       c2);
  });
}

}  // namespace

void MoveParticle(const ParticleSpan& span, const PsoOptions& options, const RandomFactors& random) {
  const auto c1 = static_cast<float>(options.cognitive), c2 = static_cast<float>(options.social.value());
  if (random.scope == RandomScope::kElement) {
    const auto coefficient = [&](float scale, RandomPurpose purpose) {
      return ElementCoefficient{scale,       random.philox, random.exchange,
                                random.rank, purpose,       random.first_element};
    };
    MoveWith(span, options, coefficient(c1, RandomPurpose::kCognitive),
             coefficient(c2, RandomPurpose::kSocial));
    return;
  }
  const auto factor = [&](RandomPurpose purpose) {
    if (random.scope == RandomScope::kNone) return 1.0f;
    const std::uint64_t index = random.scope == RandomScope::kTensor ? random.tensor : 0;
    return random.philox.Uniform(index, random.exchange, random.rank, purpose);
  };
  MoveWith(span, options, ConstantCoefficient{c1 * factor(RandomPurpose::kCognitive)},
           ConstantCoefficient{c2 * factor(RandomPurpose::kSocial)});
}

}  // namespace swarmsync
