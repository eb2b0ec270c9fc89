#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "report/event_file.h"
#include "swarmsync/report/run_files.h"

namespace swarmsync {

// A run for TensorBoard: the numbers among its records as scalars, its configuration as a text, its
// hyperparameters with what came of them for the page that compares runs. Not thread-safe. Throws RunError.
class RunEvents {
 public:
  // Begins a new file in the run's directory. config: as in config.json. hyperparameters: those of its
  // members that a result may depend on.
  RunEvents(const RunFiles& files, const nlohmann::ordered_json& config,
            const nlohmann::ordered_json& hyperparameters);

  // The scalars of a record of metrics.jsonl; one that has none is passed over.
  void Append(const nlohmann::ordered_json& record);
  // Those of summary.json. The run has succeeded.
  void Finish(const nlohmann::ordered_json& summary);

  // Where the run's events end, for ForgetTheRest() of whoever goes on from here.
  std::string position() const;
  // Removes what the run's other files have behind a position; "": all that they have.
  void ForgetTheRest(const std::string& position) const;
  // Says that the run goes on behind a step.
  void GoOnAfter(std::int64_t step) { file_.GoOnAfter(step); }

 private:
  RunFiles files_;
  EventFile file_;
};

}  // namespace swarmsync
