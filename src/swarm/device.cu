// The kernels of device.h. Compiled without contraction of a*b+c, as update.cc is.

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <string>

#include "swarm/device.h"
#include "swarm/move_element.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

constexpr int kThreads = 256;

void Check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) {
    throw RunError(std::string(what) + " failed on the GPU: " + cudaGetErrorString(status));
  }
}

// Where a weight's random factors are in their stream.
template <RandomScope kScope>
__device__ std::uint64_t FactorIndex(const ParticlePiece& piece, std::int64_t i) {
  if (kScope == RandomScope::kElement) return piece.first_element + static_cast<std::uint64_t>(i);
  return kScope == RandomScope::kTensor ? piece.tensor : 0;
}

template <RandomScope kScope>
__device__ float Coefficient(float scale, const RandomFactors& random, std::uint64_t index,
                             RandomPurpose purpose) {
  if (kScope == RandomScope::kNone) return scale;
  return scale * random.philox.Uniform(index, random.exchange, random.rank, purpose);
}

template <Velocity kVelocity, bool kPersonal, bool kGlobal, RandomScope kScope>
__global__ void Move(ParticleSpan all, const ParticlePiece* pieces, float w, float scale1, float scale2,
                     RandomFactors random) {
  const ParticlePiece piece = pieces[blockIdx.x];
  float c1 = 0, c2 = 0;
  const auto draw = [&](std::int64_t i) {
    const std::uint64_t index = FactorIndex<kScope>(piece, i);
    if (kPersonal) c1 = Coefficient<kScope>(scale1, random, index, RandomPurpose::kCognitive);
    if (kGlobal) c2 = Coefficient<kScope>(scale2, random, index, RandomPurpose::kSocial);
  };
  if (kScope != RandomScope::kElement) draw(0);
  for (std::int64_t i = threadIdx.x; i < piece.size; i += kThreads) {
    if (kScope == RandomScope::kElement) draw(i);
    const std::int64_t at = piece.begin + i;
    const MovedElement moved = MoveElement<kVelocity, kPersonal, kGlobal>(
        all.weights[at], all.velocity[at], kNeedsStart<kVelocity> ? all.start[at] : 0,
        kPersonal ? all.personal_best[at] : 0, kGlobal ? all.global_best[at] : 0, w, c1, c2);
    all.weights[at] = moved.position;
    all.velocity[at] = moved.velocity;
    if (kNeedsStart<kVelocity>) all.start[at] = moved.position;
  }
}

// Calls f with the scope as a constant.
template <class F>
void WithScope(RandomScope scope, F&& f) {
  switch (scope) {
    case RandomScope::kNone:
      return f(std::integral_constant<RandomScope, RandomScope::kNone>{});
    case RandomScope::kRound:
      return f(std::integral_constant<RandomScope, RandomScope::kRound>{});
    case RandomScope::kTensor:
      return f(std::integral_constant<RandomScope, RandomScope::kTensor>{});
    case RandomScope::kElement:
      return f(std::integral_constant<RandomScope, RandomScope::kElement>{});
  }
}

constexpr std::int64_t kBuckets = WeightSketch::kBuckets, kGroup = 8;
static_assert(kBuckets == kThreads, "a thread for each bucket");

// Block k adds up rows k, k + gridDim.x, … into partial[k]. In a row, the bucket of a thread holds the
// element that the row's order puts there (sketch.cc).
__global__ void SketchRows(const float* values, std::int64_t size, Philox philox, double* partial) {
  constexpr std::int64_t kWordsOfRow = 1 + kBuckets / 32;
  const std::int64_t bucket = threadIdx.x;
  const auto word = [&](std::int64_t index) {
    return philox.Word(static_cast<std::uint64_t>(index), 0, 0, RandomPurpose::kSketch);
  };
  double sum = 0;
  for (std::int64_t row = blockIdx.x; row * kBuckets < size; row += gridDim.x) {
    const std::int64_t order = word(row * kWordsOfRow) % kBuckets / kGroup * kGroup;
    const std::int64_t column = bucket ^ order;
    if (row * kBuckets + column >= size) continue;
    const std::uint32_t signs = word(row * kWordsOfRow + 1 + column / 32);
    const float value = values[row * kBuckets + column];
    sum += static_cast<double>((signs >> (column % 32) & 1) != 0 ? -value : value);
  }
  partial[blockIdx.x * kBuckets + bucket] = sum;
}

__global__ void SumPartialSketches(const double* partial, int count, double* sketch) {
  double sum = 0;
  for (int k = 0; k < count; ++k) sum += partial[k * kBuckets + threadIdx.x];
  sketch[threadIdx.x] = sum;
}

// Memory of the GPU, from libtorch's cache.
class Scratch {
 public:
  explicit Scratch(std::size_t doubles)
      : memory_(c10::cuda::CUDACachingAllocator::raw_alloc(doubles * sizeof(double))) {}
  ~Scratch() { c10::cuda::CUDACachingAllocator::raw_delete(memory_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  double* get() const { return static_cast<double*>(memory_); }

 private:
  void* memory_;
};

}  // namespace

void MoveParticleOnDevice(const ParticleSpan& particle, const ParticlePiece* pieces, std::int64_t num_pieces,
                          const PsoOptions& options, const RandomFactors& random) {
  if (num_pieces == 0) return;
  const auto w = static_cast<float>(options.inertia.value()), c1 = static_cast<float>(options.cognitive),
             c2 = static_cast<float>(options.social.value());
  const cudaStream_t stream = c10::cuda::getCurrentCUDAStream().stream();
  const auto blocks = static_cast<unsigned>(num_pieces);
  WithTerms(particle, options, [&](auto velocity, auto personal, auto global) {
    WithScope(random.scope, [&](auto scope) {
      Move<decltype(velocity)::value, decltype(personal)::value, decltype(global)::value,
           decltype(scope)::value><<<blocks, kThreads, 0, stream>>>(particle, pieces, w, c1, c2, random);
    });
  });
  Check(cudaGetLastError(), "moving a particle");
}

WeightSketch SketchOnDevice(const float* values, std::int64_t size) {
  constexpr std::int64_t kMostBlocks = 1024;
  const std::int64_t rows = (size + kBuckets - 1) / kBuckets;
  const auto blocks = static_cast<unsigned>(std::clamp<std::int64_t>(rows, 1, kMostBlocks));
  const cudaStream_t stream = c10::cuda::getCurrentCUDAStream().stream();
  const Scratch scratch((blocks + 1) * kBuckets);
  double* const sketch = scratch.get() + blocks * kBuckets;
  SketchRows<<<blocks, kThreads, 0, stream>>>(values, size, Philox(WeightSketch::kSignSeed), scratch.get());
  SumPartialSketches<<<1, kThreads, 0, stream>>>(scratch.get(), static_cast<int>(blocks), sketch);
  Check(cudaGetLastError(), "sketching the weights");
  std::array<double, kBuckets> buckets;
  Check(cudaMemcpyAsync(buckets.data(), sketch, sizeof buckets, cudaMemcpyDeviceToHost, stream),
        "fetching a sketch");
  Check(cudaStreamSynchronize(stream), "sketching the weights");
  return WeightSketch(buckets);
}

}  // namespace swarmsync
