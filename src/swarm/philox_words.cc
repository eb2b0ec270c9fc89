#include "swarm/philox_words.h"

#include <algorithm>

#include "base/avx2.h"

namespace swarmsync {
namespace {

#ifdef SWARMSYNC_AVX2

constexpr int kVectors = 4;  // at once, so that one need not wait for another
constexpr int kLanes = 4;    // of 64 bits, each with a block's word
constexpr std::int64_t kWords = 4 * kLanes * kVectors;

SWARMSYNC_AVX2_PART __m256i InAllLanes(std::uint64_t word) {
  return _mm256_set1_epi64x(static_cast<long long>(word));
}

// `count` words of the blocks from `first_block` on, a multiple of kWords. A product of two words fills a
// lane; what is above a word in its lane is of no consequence, as products take the lower halves.
SWARMSYNC_AVX2 void WholeVectors(const Philox& philox, std::uint32_t first_block, std::int64_t count,
                                 std::uint32_t round, std::uint32_t rank, RandomPurpose purpose,
                                 std::uint32_t* out) {
  const __m256i multiplier0 = InAllLanes(Philox::kMultiplier0);
  const __m256i multiplier1 = InAllLanes(Philox::kMultiplier1);
  for (std::int64_t at = 0; at < count; at += kWords) {
    __m256i c0[kVectors], c1[kVectors], c2[kVectors], c3[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      const auto block =
          first_block + static_cast<std::uint32_t>(at / 4) + static_cast<std::uint32_t>(v * kLanes);
      c0[v] = _mm256_add_epi32(InAllLanes(block), _mm256_setr_epi64x(0, 1, 2, 3));
      c1[v] = InAllLanes(round);
      c2[v] = InAllLanes(rank);
      c3[v] = InAllLanes(static_cast<std::uint32_t>(purpose));
    }
    std::uint32_t k0 = philox.key()[0], k1 = philox.key()[1];
    for (int i = 0; i < Philox::kRounds; ++i) {
      const __m256i key0 = InAllLanes(k0), key1 = InAllLanes(k1);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const __m256i p0 = _mm256_mul_epu32(c0[v], multiplier0), p1 = _mm256_mul_epu32(c2[v], multiplier1);
        c0[v] = _mm256_xor_si256(_mm256_srli_epi64(p1, 32), _mm256_xor_si256(c1[v], key0));
        c2[v] = _mm256_xor_si256(_mm256_srli_epi64(p0, 32), _mm256_xor_si256(c3[v], key1));
        c1[v] = p1;
        c3[v] = p0;
      }
      k0 += Philox::kWeyl0;
      k1 += Philox::kWeyl1;
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const __m256i c01 = _mm256_blend_epi32(c0[v], _mm256_slli_epi64(c1[v], 32), 0b10101010);
      const __m256i c23 = _mm256_blend_epi32(c2[v], _mm256_slli_epi64(c3[v], 32), 0b10101010);
      const __m256i blocks02 = _mm256_unpacklo_epi64(c01, c23), blocks13 = _mm256_unpackhi_epi64(c01, c23);
      auto* const to = reinterpret_cast<__m256i*>(out + at) + 2 * v;
      _mm256_storeu_si256(to, _mm256_permute2x128_si256(blocks02, blocks13, 0x20));
      _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(blocks02, blocks13, 0x31));
    }
  }
}

#endif

}  // namespace

void DrawWords(const Philox& philox, std::uint32_t round, std::uint32_t rank, RandomPurpose purpose,
               std::uint64_t first_index, std::int64_t count, std::uint32_t* out) {
  PhiloxStream stream(philox, round, rank, purpose, first_index);
  std::int64_t i = 0;
#ifdef SWARMSYNC_AVX2
  if (HasAvx2()) {
    for (; i < count && (first_index + static_cast<std::uint64_t>(i)) % 4 != 0; ++i)
      out[i] = stream.NextWord();
    const std::int64_t whole = (count - i) / kWords * kWords;
    const auto block = static_cast<std::uint32_t>((first_index + static_cast<std::uint64_t>(i)) / 4);
    WholeVectors(philox, block, whole, round, rank, purpose, out + i);
    i += whole;
    stream = PhiloxStream(philox, round, rank, purpose, first_index + static_cast<std::uint64_t>(i));
  }
#endif
  for (; i < count; ++i) out[i] = stream.NextWord();
}

}  // namespace swarmsync
