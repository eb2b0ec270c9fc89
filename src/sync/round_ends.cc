// Exchanges that are closer together where more is at stake. Each step k is a part of a round,
//
//   part(k) = c density(k), but at least 1 / longest and at most 1 / shortest
//
// and a round ends where the parts of all steps so far have added up to the next whole number. c is what
// makes all of them add up to the number of rounds, ceil(steps / period).
//
// With the square of the learning rate as density this is the quadratic synchronization rule (Gu, Lyu, Arora,
// Zhang and Huang: A Quadratic Synchronization Rule for Distributed Deep Learning, ICLR 2024), but that there
// c is given and the number of rounds follows.

#include "swarmsync/sync/round_ends.h"

#include <fmt/format.h>

#include <algorithm>

#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

constexpr int kHalvings = 200;        // of the interval in which c is looked for
constexpr double kGreatest = 1e100;   // c; what is there yet has no density to speak of
constexpr double kRounding = 1e-6;    // of a sum of parts
constexpr std::int64_t kLongest = 4;  // periods, where nothing else is said

void Validate(const RoundSpread& s) {
  if (s.first >= 0 && s.last > s.first && s.shortest >= 1 && s.shortest <= s.period && s.period <= s.longest)
    return;
  throw UsageError(
      fmt::format("rounds are to lie between the steps {} and {} and to have from {} to {} steps, {} on "
                  "average; give a last step behind the first, and a period between the two",
                  s.first, s.last, s.shortest, s.longest, s.period));
}

}  // namespace

std::vector<std::int64_t> SpreadRounds(RoundSpread spread,
                                       const std::function<double(std::int64_t)>& density) {
  if (spread.longest == 0) spread.longest = kLongest * spread.period;
  Validate(spread);
  std::vector<double> densities;
  for (std::int64_t step = spread.first + 1; step <= spread.last; ++step) densities.push_back(density(step));
  const double least = 1 / static_cast<double>(spread.longest);
  const double most = 1 / static_cast<double>(spread.shortest);
  const auto part = [&](double c, double at) { return std::clamp(c * at, least, most); };
  const auto rounds_with = [&](double c) {
    double parts = 0;
    for (const double at : densities) parts += part(c, at);
    return parts;
  };

  const std::int64_t rounds = (spread.last - spread.first + spread.period - 1) / spread.period;
  const auto wanted = static_cast<double>(rounds);
  double low = 0, high = 1;
  while (rounds_with(high) < wanted && high < kGreatest) high *= 2;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (rounds_with(middle) < wanted ? low : high) = middle;
  }

  std::vector<std::int64_t> ends;
  double parts = 0;
  std::int64_t step = spread.first;
  for (const double at : densities) {
    ++step;
    parts += part(high, at);
    if (step < spread.last && static_cast<std::int64_t>(ends.size()) < rounds - 1 &&
        parts >= static_cast<double>(ends.size() + 1) - kRounding)
      ends.push_back(step);
  }
  ends.push_back(spread.last);
  return ends;
}

}  // namespace swarmsync
