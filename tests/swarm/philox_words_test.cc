#include "swarm/philox_words.h"

#include <gtest/gtest.h>

#include <vector>

namespace swarmsync {
namespace {

TEST(DrawWords, AreThoseOfTheStreamFromAnyPlace) {
  const Philox philox(0x123456789abcdef);
  for (const std::uint64_t first : {0ul, 1ul, 2ul, 3ul, 4ul, 4091ul, (1ul << 34) - 600}) {
    for (const std::int64_t count : {0, 1, 3, 4, 5, 15, 16, 63, 64, 65, 127, 128, 513}) {
      std::vector<std::uint32_t> words(static_cast<std::size_t>(count) + 1, 7);
      DrawWords(philox, 5, 2, RandomPurpose::kSocial, first, count, words.data());
      for (std::int64_t i = 0; i < count; ++i) {
        ASSERT_EQ(words[static_cast<std::size_t>(i)],
                  philox.Word(first + static_cast<std::uint64_t>(i), 5, 2, RandomPurpose::kSocial))
            << i << " of " << count << " from " << first;
      }
      EXPECT_EQ(words.back(), 7u);
    }
  }
}

}  // namespace
}  // namespace swarmsync
