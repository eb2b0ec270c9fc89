#include "swarm/philox_words.h"

#include <algorithm>

#include "base/avx2.h"

namespace swarmsync {
namespace {

#ifdef SWARMSYNC_AVX2

// As many vectors at once as there are registers for, so that one need not wait for another; each has lanes
// of 64 bits, and a lane a block's word.
constexpr std::int64_t kVectors = 3, kLanes = 4, kWords = 4 * kLanes * kVectors;
constexpr std::int64_t kVectors512 = 4, kLanes512 = 8, kWords512 = 4 * kLanes512 * kVectors512;

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
#pragma GCC unroll 3
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
#pragma GCC unroll 3
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

// The same with vectors of twice the width, and three operands in a logical operation.
SWARMSYNC_AVX512 void WholeVectors512(const Philox& philox, std::uint32_t first_block, std::int64_t count,
                                      std::uint32_t round, std::uint32_t rank, RandomPurpose purpose,
                                      std::uint32_t* out) {
  constexpr int kXor = 0b10010110;  // of all three
  const __m512i multiplier0 = _mm512_set1_epi64(Philox::kMultiplier0);
  const __m512i multiplier1 = _mm512_set1_epi64(Philox::kMultiplier1);
  const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
  const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  for (std::int64_t at = 0; at < count; at += kWords512) {
    __m512i c0[kVectors512], c1[kVectors512], c2[kVectors512], c3[kVectors512];
    for (int v = 0; v < kVectors512; ++v) {
      const auto block =
          first_block + static_cast<std::uint32_t>(at / 4) + static_cast<std::uint32_t>(v * kLanes512);
      c0[v] = _mm512_add_epi32(_mm512_set1_epi64(block), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
      c1[v] = _mm512_set1_epi64(round);
      c2[v] = _mm512_set1_epi64(rank);
      c3[v] = _mm512_set1_epi64(static_cast<std::uint32_t>(purpose));
    }
    std::uint32_t k0 = philox.key()[0], k1 = philox.key()[1];
    for (int i = 0; i < Philox::kRounds; ++i) {
      const __m512i key0 = _mm512_set1_epi64(k0), key1 = _mm512_set1_epi64(k1);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors512; ++v) {
        const __m512i p0 = _mm512_mul_epu32(c0[v], multiplier0), p1 = _mm512_mul_epu32(c2[v], multiplier1);
        c0[v] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), c1[v], key0, kXor);
        c2[v] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), c3[v], key1, kXor);
        c1[v] = p1;
        c3[v] = p0;
      }
      k0 += Philox::kWeyl0;
      k1 += Philox::kWeyl1;
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors512; ++v) {
      const __m512i c01 = _mm512_mask_blend_epi32(0xAAAA, c0[v], _mm512_slli_epi64(c1[v], 32));
      const __m512i c23 = _mm512_mask_blend_epi32(0xAAAA, c2[v], _mm512_slli_epi64(c3[v], 32));
      const __m512i even = _mm512_unpacklo_epi64(c01, c23), odd = _mm512_unpackhi_epi64(c01, c23);
      _mm512_storeu_si512(out + at + 32 * v, _mm512_permutex2var_epi64(even, first, odd));
      _mm512_storeu_si512(out + at + 32 * v + 16, _mm512_permutex2var_epi64(even, second, odd));
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
    const auto draw = [&](auto&& vectors, std::int64_t words_at_once) {
      const std::int64_t whole = (count - i) / words_at_once * words_at_once;
      const auto block = static_cast<std::uint32_t>((first_index + static_cast<std::uint64_t>(i)) / 4);
      vectors(philox, block, whole, round, rank, purpose, out + i);
      i += whole;
    };
    if (HasAvx512()) draw(WholeVectors512, kWords512);
    draw(WholeVectors, kWords);
    stream = PhiloxStream(philox, round, rank, purpose, first_index + static_cast<std::uint64_t>(i));
  }
#endif
  for (; i < count; ++i) out[i] = stream.NextWord();
}

}  // namespace swarmsync
