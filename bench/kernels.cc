// What the kernels of an exchange take, by Google Benchmark:
//   cmake --build build/release --target kernels && build/release/bench/kernels
// Bytes count as in STREAM: each array that is read or written, once for each.

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include <vector>

#include "comm/add_up.h"
#include "comm/codec.h"
#include "swarm/philox_words.h"
#include "swarmsync/swarm/sketch.h"
#include "swarmsync/swarm/update.h"

namespace swarmsync {
namespace {

using benchmark::State;

std::vector<float> Numbers(std::int64_t size) {
  std::vector<float> numbers;
  for (std::int64_t i = 0; i < size; ++i) numbers.push_back(0.001f * static_cast<float>(i % 1999) - 1);
  return numbers;
}

void CountBytes(State& state, std::int64_t arrays) {
  state.SetBytesProcessed(state.iterations() * arrays * state.range(0) * 4);
}

void Move(State& state, Velocity velocity, RandomScope scope) {
  auto weights = Numbers(state.range(0)), speed = weights, start = weights, guide = weights;
  ParticleSpan span;
  span.size = state.range(0);
  span.weights = weights.data();
  span.velocity = speed.data();
  if (NeedsStart(velocity)) span.start = start.data();
  span.global_best = guide.data();
  PsoOptions options;
  options.velocity = velocity;
  options.inertia = 0.7;
  options.social = 0.1;
  options.random = scope;
  RandomFactors random{Philox(1), scope};
  for (auto _ : state) {
    MoveParticle(span, options, random);
    ++random.exchange;
  }
  CountBytes(state, velocity == Velocity::kSwarm ? 5 : 7);
}
BENCHMARK_CAPTURE(Move, swarm, Velocity::kSwarm, RandomScope::kNone)->Arg(61706)->Arg(11173962);
BENCHMARK_CAPTURE(Move, total, Velocity::kTotal, RandomScope::kNone)->Arg(61706)->Arg(11173962);
BENCHMARK_CAPTURE(Move, nesterov, Velocity::kNesterov, RandomScope::kNone)->Arg(61706)->Arg(11173962);
BENCHMARK_CAPTURE(Move, total_element, Velocity::kTotal, RandomScope::kElement)->Arg(61706)->Arg(11173962);

void Draw(State& state) {
  std::vector<std::uint32_t> words(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) DrawWords(Philox(1), 0, 0, RandomPurpose::kSocial, 0, state.range(0), words.data());
  CountBytes(state, 1);
}
BENCHMARK(Draw)->Arg(61706);

void Sketch(State& state) {
  const auto weights = Numbers(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(WeightSketch(weights.data(), state.range(0)));
  CountBytes(state, 1);
}
BENCHMARK(Sketch)->Arg(61706)->Arg(11173962);

void Encode(State& state, Wire wire) {
  const auto weights = Numbers(state.range(0));
  auto reference = weights, lost = weights;
  std::vector<std::uint8_t> bytes(EncodedBytes(wire, state.range(0)));
  for (auto _ : state)
    EncodeChange(wire, {weights.data(), reference.data(), 1, lost.data()}, state.range(0), bytes.data());
  CountBytes(state, 4);
}
BENCHMARK_CAPTURE(Encode, bf16, Wire::kBf16)->Arg(61706)->Arg(11173962);
BENCHMARK_CAPTURE(Encode, int8, Wire::kInt8)->Arg(61706)->Arg(11173962);

void Sum(State& state) {
  std::vector<at::Tensor> parts;
  for (int rank = 0; rank < 4; ++rank) parts.push_back(at::ones({state.range(0)}));
  const at::Tensor out = at::empty({state.range(0)});
  for (auto _ : state) AddUp(parts, {}, out);
  CountBytes(state, 5);
}
BENCHMARK(Sum)->Arg(61706)->Arg(2793491);

}  // namespace
}  // namespace swarmsync

BENCHMARK_MAIN();
