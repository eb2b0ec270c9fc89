#pragma once

#include <array>
#include <cstdint>

#include "swarmsync/base/host_device.h"

namespace swarmsync {

// Every use of random numbers has its own number here, so that no two uses ever draw the same words.
enum class RandomPurpose : std::uint32_t {
  kShuffle = 0,     // order of the samples in an epoch (round = epoch, rank = 0)
  kValidation = 1,  // which samples are held out (round = rank = 0)
  kCognitive = 2,   // r1 of pso-ps (round = exchange, rank = worker)
  kSocial = 3,      // r2 of pso-ps (round = exchange, rank = worker)
  kInitialize = 4,  // seeds of libtorch's generators (round = 0 for weights, 1 for training, rank = worker)
  kSketch = 5,      // signs of the sketches of weights (seed = round = rank = 0)
  kLabelNoise = 6,  // labels that are replaced (index = sample, round = draw, rank = worker)
  kShard = 7,       // which samples are whose (--shard label-skew)
  kInertia = 8,     // changes of the inertia (round = exchange, rank = worker)
  kGuide = 9,       // which worker is a random guide (round = exchange, rank = 0)
  kAugment = 10,    // shifts and flips of images (index = 4 · sample, round = epoch, rank = 0)
};

// Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011): a counter-based generator, a pure function from
// (seed, index, round, rank, purpose) to 32 random bits. It has no state to save, and a script in another
// language draws the same numbers:
//   key = seed, low word first;  counter = (index / 4, round, rank, purpose);  word index % 4 of the block.
// Local; safe to call from any thread, and on a GPU.
class Philox {
 public:
  // A counter: (index / 4, round, rank, purpose); or the four words that belong to it.
  using Block = std::array<std::uint32_t, 4>;
  using Key = std::array<std::uint32_t, 2>;  // the seed, low word first
  static constexpr int kRounds = 10;         // that mix a counter
  // What the first word of the counter is multiplied by in each round (Salmon et al.).
  static constexpr std::uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;  // the third word
  // What is added to the first word of the key after each round.
  static constexpr std::uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;  // to its second word

  // The generator of a seed. Two of the same seed draw the same.
  explicit Philox(std::uint64_t seed)
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)} {}

  // The seed.
  const Key& key() const { return key_; }

  // The ten rounds on one counter.
  SWARMSYNC_HOST_DEVICE Block operator()(Block c) const {
    std::uint32_t k0 = key_[0], k1 = key_[1];
    for (int round = 0; round < kRounds; ++round) {
      const std::uint64_t p0 = kMultiplier0 * c[0], p1 = kMultiplier1 * c[2];
      c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(p1),
           static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(p0)};
      k0 += kWeyl0;
      k1 += kWeyl1;
    }
    return c;
  }

  // Word `index` of a stream. index < 2^34.
  SWARMSYNC_HOST_DEVICE std::uint32_t Word(std::uint64_t index, std::uint32_t round, std::uint32_t rank,
                                           RandomPurpose purpose) const {
    const Block counter{static_cast<std::uint32_t>(index / 4), round, rank,
                        static_cast<std::uint32_t>(purpose)};
    return (*this)(counter)[index % 4];
  }

  // Uniform in [0, 1), 24 bits.
  SWARMSYNC_HOST_DEVICE float Uniform(std::uint64_t index, std::uint32_t round, std::uint32_t rank,
                                      RandomPurpose purpose) const {
    return ToUniform(Word(index, round, rank, purpose));
  }

  // The upper 24 bits of a word as a number in [0, 1): (word >> 8) · 2^-24, which is exact.
  SWARMSYNC_HOST_DEVICE static float ToUniform(std::uint32_t word) {
    return static_cast<float>(static_cast<std::int32_t>(word >> 8)) * 0x1p-24f;
  }

 private:
  Key key_;
};

// Reads consecutive words of one stream, computing each block of four once. Not thread-safe.
class PhiloxStream {
 public:
  // The words of (seed of philox, round, rank, purpose), from word `first_index` on.
  PhiloxStream(Philox philox, std::uint32_t round, std::uint32_t rank, RandomPurpose purpose,
               std::uint64_t first_index = 0)
      : philox_(philox), round_(round), rank_(rank), purpose_(purpose), index_(first_index) {
    if (index_ % 4 != 0) Refill();
  }

  // The next 32 bits.
  std::uint32_t NextWord() {
    if (index_ % 4 == 0) Refill();
    return block_[index_++ % 4];
  }
  // The next word as a number in [0, 1).
  float NextUniform() { return Philox::ToUniform(NextWord()); }

  // A number in [0, bound), by multiplication; its bias is below bound · 2^-32.
  std::uint32_t NextBelow(std::uint32_t bound) {
    return static_cast<std::uint32_t>((static_cast<std::uint64_t>(NextWord()) * bound) >> 32);
  }

 private:
  void Refill() {
    block_ = philox_(
        {static_cast<std::uint32_t>(index_ / 4), round_, rank_, static_cast<std::uint32_t>(purpose_)});
  }

  Philox philox_;
  std::uint32_t round_;
  std::uint32_t rank_;
  RandomPurpose purpose_;
  std::uint64_t index_;
  Philox::Block block_{};
};

}  // namespace swarmsync
