#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "swarmsync/base/clock.h"

namespace swarmsync {

// The seconds that a call takes.
template <class F>
double SecondsOf(F&& call) {
  const double begin = MonotonicSeconds();
  call();
  return MonotonicSeconds() - begin;
}

inline double Median(std::vector<double> numbers) {
  const auto middle = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  if (numbers.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(numbers.begin(), middle)) / 2;
}

// seconds: at least one.
inline nlohmann::ordered_json Milliseconds(const std::vector<double>& seconds) {
  const auto [least, most] = std::minmax_element(seconds.begin(), seconds.end());
  return {{"median", 1e3 * Median(seconds)}, {"least", 1e3 * *least}, {"most", 1e3 * *most}};
}

}  // namespace swarmsync
