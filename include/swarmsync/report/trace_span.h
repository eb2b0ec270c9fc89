#pragma once

#include <string_view>
#include <utility>
#include <vector>

namespace swarmsync {

// What one worker did from one moment to another. Spans of a lane lie beside each other or within each other.
struct TraceSpan {
  enum class Lane { kTraining, kExchange };

  Lane lane = Lane::kTraining;
  std::string_view name;
  double begin = 0, end = 0;  // seconds, by a clock that all workers of the run share
  std::vector<std::pair<std::string_view, double>> arguments;
};

}  // namespace swarmsync
