#pragma once

#include <string_view>
#include <utility>
#include <vector>

namespace swarmsync {

// What one worker did from one moment to another. Spans of a lane lie beside each other or within each other.
struct TraceSpan {
  // Which of the two lanes of a worker shows it: that of the training, or that of the exchanges of weights,
  // which may run beside it.
  enum class Lane { kTraining, kExchange };

  Lane lane = Lane::kTraining;  // where it is shown
  std::string_view name;        // such as "compute"; somebody else's, valid while the span is told
  // When it began, in seconds by a clock that all workers of the run share.
  double begin = 0, end = 0;  // when it ended, by the same clock
  // Numbers that belong to it, by names that live as long as `name`.
  std::vector<std::pair<std::string_view, double>> arguments;
};

}  // namespace swarmsync
