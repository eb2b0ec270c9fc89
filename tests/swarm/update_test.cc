#include "swarmsync/swarm/update.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <tuple>
#include <vector>

namespace swarmsync {
namespace {

// One operation of float arithmetic, rounded by itself whatever the compiler would make of an expression.
float Mul(float a, float b) {
  volatile float result = a * b;
  return result;
}
float Add(float a, float b) {
  volatile float result = a + b;
  return result;
}
float Sub(float a, float b) { return Add(a, -b); }

struct Particle {
  std::vector<float> weights, velocity, start, personal_best, global_best;
};

struct Terms {
  bool personal, global;
};

constexpr float kCanary = 12345.0f;

// Arbitrary values, and a canary behind each array.
Particle NewParticle(std::int64_t size, std::uint64_t seed) {
  Particle particle;
  std::uint32_t rank = 0;
  for (auto* array : {&particle.weights, &particle.velocity, &particle.start, &particle.personal_best,
                      &particle.global_best}) {
    PhiloxStream stream(Philox(seed), 0, rank++, RandomPurpose::kInitialize);
    for (std::int64_t i = 0; i < size; ++i) array->push_back(stream.NextUniform() * 4 - 2);
    array->push_back(kCanary);
  }
  return particle;
}

ParticleSpan SpanOf(Particle& particle, const PsoOptions& options, Terms terms, std::int64_t begin = 0,
                    std::int64_t end = -1) {
  ParticleSpan span;
  span.size = (end < 0 ? static_cast<std::int64_t>(particle.weights.size()) - 1 : end) - begin;
  span.weights = particle.weights.data() + begin;
  span.velocity = particle.velocity.data() + begin;
  if (NeedsStart(options.velocity)) span.start = particle.start.data() + begin;
  if (terms.personal) span.personal_best = particle.personal_best.data() + begin;
  if (terms.global) span.global_best = particle.global_best.data() + begin;
  return span;
}

// The equations of update.h, one element after another.
void MoveOneByOne(Particle& particle, const PsoOptions& options, const RandomFactors& random, Terms terms) {
  const auto size = static_cast<std::int64_t>(particle.weights.size()) - 1;
  for (std::int64_t i = 0; i < size; ++i) {
    const auto factor = [&](RandomPurpose purpose) {
      switch (random.scope) {
        case RandomScope::kNone:
          return 1.0f;
        case RandomScope::kRound:
          return random.philox.Uniform(0, random.exchange, random.rank, purpose);
        case RandomScope::kTensor:
          return random.philox.Uniform(random.tensor, random.exchange, random.rank, purpose);
        default:
          return random.philox.Uniform(random.first_element + static_cast<std::uint64_t>(i), random.exchange,
                                       random.rank, purpose);
      }
    };
    const float y = particle.weights[i];
    float s = 0;
    if (terms.personal) {
      const float c1 = Mul(static_cast<float>(options.cognitive), factor(RandomPurpose::kCognitive));
      s = Add(s, Mul(c1, Sub(particle.personal_best[i], y)));
    }
    if (terms.global) {
      const float c2 = Mul(static_cast<float>(options.social.value()), factor(RandomPurpose::kSocial));
      s = Add(s, Mul(c2, Sub(particle.global_best[i], y)));
    }
    float& v = particle.velocity[i];
    const auto w = static_cast<float>(options.inertia.value());
    switch (options.velocity) {
      case Velocity::kSwarm:
        v = Add(Mul(w, v), s);
        particle.weights[i] = Add(y, v);
        break;
      case Velocity::kTotal:
        v = Add(Add(Mul(w, v), Sub(y, particle.start[i])), s);
        particle.start[i] = particle.weights[i] = Add(particle.start[i], v);
        break;
      case Velocity::kNesterov:
        v = Mul(w, Add(Add(v, Sub(y, particle.start[i])), s));
        particle.start[i] = particle.weights[i] = Add(Add(y, s), v);
        break;
    }
  }
}

bool operator==(const Particle& a, const Particle& b) {
  return std::tie(a.weights, a.velocity, a.start, a.personal_best, a.global_best) ==
         std::tie(b.weights, b.velocity, b.start, b.personal_best, b.global_best);
}

PsoOptions Options(Velocity velocity, RandomScope scope) {
  PsoOptions options;
  options.velocity = velocity;
  options.inertia = 0.7;
  options.cognitive = 0.9;
  options.social = 1.3;
  options.random = scope;
  return options;
}

class MoveParticleTest : public ::testing::TestWithParam<std::tuple<Velocity, RandomScope, bool, bool>> {
 protected:
  PsoOptions options() const { return Options(std::get<0>(GetParam()), std::get<1>(GetParam())); }
  Terms terms() const { return {std::get<2>(GetParam()), std::get<3>(GetParam())}; }
  RandomFactors random() const {
    RandomFactors random{Philox(0x123456789), options().random, /*exchange=*/5, /*rank=*/2};
    random.tensor = 3;
    random.first_element = 4091;  // not a multiple of four
    return random;
  }
};

std::string CaseName(const ::testing::TestParamInfo<MoveParticleTest::ParamType>& info) {
  const auto& [velocity, scope, personal, global] = info.param;
  return ToString(velocity) + "_" + ToString(scope) + (personal ? "_personal" : "") +
         (global ? "_global" : "");
}

INSTANTIATE_TEST_SUITE_P(All, MoveParticleTest,
                         ::testing::Combine(::testing::Values(Velocity::kSwarm, Velocity::kTotal,
                                                              Velocity::kNesterov),
                                            ::testing::Values(RandomScope::kNone, RandomScope::kRound,
                                                              RandomScope::kTensor, RandomScope::kElement),
                                            ::testing::Bool(), ::testing::Bool()),
                         CaseName);

TEST_P(MoveParticleTest, EqualsTheEquationsElementByElementToTheBit) {
  for (const std::int64_t size : {0, 1, 15, 511, 512, 513, 1537}) {
    Particle moved = NewParticle(size, 1), expected = moved;
    for (int exchange = 0; exchange < 2; ++exchange) {  // the second has what the first left behind
      RandomFactors factors = random();
      factors.exchange += exchange;
      MoveParticle(SpanOf(moved, options(), terms()), options(), factors);
      MoveOneByOne(expected, options(), factors, terms());
      EXPECT_TRUE(moved == expected) << "size " << size << ", exchange " << exchange;
    }
    EXPECT_EQ(moved.weights.back(), kCanary);
  }
}

TEST_P(MoveParticleTest, TheNewPositionIsTheNextStart) {
  if (options().velocity == Velocity::kSwarm) return;  // it has no start
  Particle particle = NewParticle(20, 2);
  MoveParticle(SpanOf(particle, options(), terms()), options(), random());
  EXPECT_EQ(particle.start, particle.weights);
}

// Where a slot ends and the next begins makes no difference: element r belongs to the weight.
RC_GTEST_PROP(MoveParticle, InTwoPartsIsTheSameAsWhole, ()) {
  const auto size = *rc::gen::resize(1000, rc::gen::inRange<std::int64_t>(1, 1200));
  const auto split = *rc::gen::resize(1000, rc::gen::inRange<std::int64_t>(0, size));
  const auto first = *rc::gen::inRange<std::uint64_t>(0, 100);
  const PsoOptions options = Options(
      *rc::gen::element(Velocity::kSwarm, Velocity::kTotal, Velocity::kNesterov), RandomScope::kElement);
  RandomFactors random{Philox(*rc::gen::arbitrary<std::uint64_t>()), RandomScope::kElement, 1, 2, 0, first};
  Particle whole = NewParticle(size, 3), parts = whole;
  MoveParticle(SpanOf(whole, options, {true, true}), options, random);
  MoveParticle(SpanOf(parts, options, {true, true}, 0, split), options, random);
  random.first_element += split;
  MoveParticle(SpanOf(parts, options, {true, true}, split, size), options, random);
  RC_ASSERT(whole == parts);
}

// The two pulls draw from different streams, and so do ranks, exchanges and seeds.
TEST(MoveParticle, DrawsItsOwnFactorsForEachPullRankExchangeAndSeed) {
  const PsoOptions options = Options(Velocity::kSwarm, RandomScope::kRound);
  const auto pulled = [&](Terms terms, std::uint64_t seed, std::uint32_t exchange, std::uint32_t rank) {
    Particle particle;
    particle.weights = particle.velocity = particle.start = {0, kCanary};
    particle.personal_best = {static_cast<float>(1 / options.cognitive), kCanary};
    particle.global_best = {static_cast<float>(1 / options.social.value()), kCanary};
    MoveParticle(SpanOf(particle, options, terms), options,
                 {Philox(seed), RandomScope::kRound, exchange, rank});
    return particle.weights[0];
  };
  const std::vector<float> factors = {pulled({true, false}, 1, 0, 0), pulled({false, true}, 1, 0, 0),
                                      pulled({true, false}, 2, 0, 0), pulled({true, false}, 1, 1, 0),
                                      pulled({true, false}, 1, 0, 1)};
  EXPECT_NEAR(factors[0], 0.1870749, 1e-6);  // goldens.json: seed 1, index 0, purpose 2
  EXPECT_NEAR(factors[1], 0.4114384, 1e-6);  // purpose 3
  for (std::size_t i = 0; i < factors.size(); ++i) {
    EXPECT_EQ(std::count(factors.begin(), factors.end(), factors[i]), 1) << i;
  }
}

TEST(MoveParticle, WithoutPullsAndInertiaASwarmParticleStays) {
  PsoOptions options = Options(Velocity::kSwarm, RandomScope::kNone);
  options.inertia = 0;
  Particle particle = NewParticle(100, 4);
  const std::vector<float> before = particle.weights;
  MoveParticle(SpanOf(particle, options, {false, false}), options, {});
  EXPECT_EQ(particle.weights, before);
}

}  // namespace
}  // namespace swarmsync
