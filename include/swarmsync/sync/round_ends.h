#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace swarmsync {

// Rounds that are not all alike, for SyncOptions::round_ends.
struct RoundSpread {
  std::int64_t first = 0;     // step behind which the rounds begin: 0, or the end of a warm-up
  std::int64_t last = 0;      // step that ends the last one, above `first`
  std::int64_t period = 16;   // steps of a round, on average; at least 1
  std::int64_t shortest = 1;  // steps of any round but the last one at least, 1 to period
  std::int64_t longest = 0;   // and about at most, the period or more; 0: four periods
};

// The steps that end the rounds: as many as there would be of rounds of `period` steps, so for as many bytes,
// but in any stretch of steps the more of them the larger density(step) is there, as far as the limits allow.
// density: a function of the steps from first + 1 to last, finite and above 0. Local. Throws UsageError for
// limits that contradict each other.
std::vector<std::int64_t> SpreadRounds(RoundSpread spread,
                                       const std::function<double(std::int64_t step)>& density);

}  // namespace swarmsync
