#include "swarmsync/base/philox.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

namespace swarmsync {
namespace {

nlohmann::json Goldens() {
  std::ifstream file(SWARMSYNC_SOURCE_DIR "/tests/sync/goldens.json");
  return nlohmann::json::parse(file);
}

Philox::Block Words(const nlohmann::json& values) { return values.get<Philox::Block>(); }

std::uint64_t Seed(const nlohmann::json& key) {
  return key.at(0).get<std::uint64_t>() | key.at(1).get<std::uint64_t>() << 32;
}

// Random123's kat_vectors, philox4x32 with 10 rounds.
TEST(Philox, GivesThePublishedAnswers) {
  EXPECT_EQ(Philox(0)({0, 0, 0, 0}), (Philox::Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox(~0ull)({~0u, ~0u, ~0u, ~0u}),
            (Philox::Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox(0x299f31d0a4093822)({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (Philox::Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, GivesTheBlocksOfTheIndependentScript) {
  const auto blocks = Goldens().at("philox");
  ASSERT_FALSE(blocks.empty());
  for (const auto& answer : blocks) {
    EXPECT_EQ(Philox(Seed(answer.at("key")))(Words(answer.at("counter"))), Words(answer.at("block")))
        << answer;
  }
}

TEST(Philox, GivesTheWordsAndUniformsOfTheIndependentScript) {
  const auto words = Goldens().at("philox_words");
  ASSERT_GE(words.size(), 9u);
  for (const auto& answer : words) {
    const Philox philox(answer.at("seed").get<std::uint64_t>());
    const auto index = answer.at("index").get<std::uint64_t>();
    const auto round = answer.at("round").get<std::uint32_t>(), rank = answer.at("rank").get<std::uint32_t>();
    const auto purpose = static_cast<RandomPurpose>(answer.at("purpose").get<std::uint32_t>());
    EXPECT_EQ(philox.Word(index, round, rank, purpose), answer.at("word").get<std::uint32_t>()) << answer;
    EXPECT_FLOAT_EQ(philox.Uniform(index, round, rank, purpose), answer.at("uniform").get<float>()) << answer;
  }
}

TEST(Philox, UniformsReachZeroAndStayBelowOne) {
  EXPECT_EQ(Philox::ToUniform(0), 0.0f);
  EXPECT_EQ(Philox::ToUniform(0xff), 0.0f);
  EXPECT_EQ(Philox::ToUniform(0x100), 0x1p-24f);
  EXPECT_EQ(Philox::ToUniform(0x80000000), 0.5f);
  EXPECT_EQ(Philox::ToUniform(0xffffffff), 1.0f - 0x1p-24f);
}

// A user of random numbers who mixed up two of these would draw what another one draws.
TEST(Philox, EveryCoordinateChangesTheWord) {
  using P = RandomPurpose;
  const std::set<std::uint32_t> words = {
      Philox(1).Word(0, 0, 0, P::kShuffle),          Philox(2).Word(0, 0, 0, P::kShuffle),
      Philox(1ull << 32).Word(0, 0, 0, P::kShuffle), Philox(1).Word(1, 0, 0, P::kShuffle),
      Philox(1).Word(4, 0, 0, P::kShuffle),          Philox(1).Word(0, 1, 0, P::kShuffle),
      Philox(1).Word(0, 0, 1, P::kShuffle),          Philox(1).Word(0, 0, 0, P::kValidation),
      Philox(1).Word(0, 0, 0, P::kCognitive),        Philox(1).Word(0, 0, 0, P::kSocial),
      Philox(1).Word(0, 0, 0, P::kInitialize)};
  EXPECT_EQ(words.size(), 11u);
}

RC_GTEST_PROP(PhiloxStream, GivesTheSameWordsAsTheirIndices,
              (std::uint64_t seed, std::uint32_t round, std::uint32_t rank)) {
  const auto purpose = static_cast<RandomPurpose>(*rc::gen::inRange(0, 5));
  const auto first = *rc::gen::oneOf(rc::gen::inRange<std::uint64_t>(0, 20),
                                     rc::gen::inRange<std::uint64_t>((1ull << 34) - 40, (1ull << 34) - 20));
  PhiloxStream stream(Philox(seed), round, rank, purpose, first);
  for (std::uint64_t index = first; index < first + 15; ++index) {
    RC_ASSERT(stream.NextWord() == Philox(seed).Word(index, round, rank, purpose));
  }
  RC_ASSERT(stream.NextUniform() == Philox(seed).Uniform(first + 15, round, rank, purpose));
}

RC_GTEST_PROP(PhiloxStream, NumbersBelowABoundAreTheWordScaledToIt, (std::uint64_t seed)) {
  const auto bound = *rc::gen::inRange<std::uint32_t>(1, std::numeric_limits<std::uint32_t>::max());
  PhiloxStream stream(Philox(seed), 0, 0, RandomPurpose::kShuffle);
  const std::uint32_t drawn = stream.NextBelow(bound);
  const auto scaled = static_cast<std::uint64_t>(Philox(seed).Word(0, 0, 0, RandomPurpose::kShuffle)) * bound;
  RC_ASSERT(drawn < bound);
  RC_ASSERT(static_cast<std::uint64_t>(drawn) << 32 <= scaled);
  RC_ASSERT(scaled - (static_cast<std::uint64_t>(drawn) << 32) < 1ull << 32);
}

}  // namespace
}  // namespace swarmsync
