#include "swarmsync/swarm/finite.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace swarmsync {
namespace {

TEST(AllFinite, FindsOneThatIsNotAnywhere) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const std::size_t size : {0, 1, 3, 8, 31, 1000}) {
    std::vector<float> values(size, std::numeric_limits<float>::max());
    EXPECT_TRUE(AllFinite(values.data(), static_cast<std::int64_t>(size)));
    for (std::size_t at = 0; at < size; ++at) {
      for (const float value : {infinity, -infinity, std::nanf(""), -std::nanf("1")}) {
        values[at] = value;
        EXPECT_FALSE(AllFinite(values.data(), static_cast<std::int64_t>(size))) << value << " at " << at;
      }
      values[at] = at % 2 == 0 ? -0.0f : std::numeric_limits<float>::denorm_min();
    }
    EXPECT_TRUE(AllFinite(values.data(), static_cast<std::int64_t>(size)));
  }
}

}  // namespace
}  // namespace swarmsync
