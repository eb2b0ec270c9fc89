#pragma once

#include <cstddef>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "swarmsync/report/run_files.h"

namespace swarmsync {

// A run as the report page wants it (html_report.h), from what summary.json and metrics.jsonl say. Missing
// parts are left out.
nlohmann::ordered_json RunForReport(const nlohmann::ordered_json& summary,
                                    const nlohmann::ordered_json& epochs,
                                    const nlohmann::ordered_json& exchanges);

// The records of metrics.jsonl by their event.
class Metrics {
 public:
  // Reads the file once. Throws DataError.
  explicit Metrics(const RunFiles& files);

  // The records of one event.
  const std::vector<nlohmann::ordered_json>& Of(const std::string& event) const;

  // The same, at most `most` of them, evenly spread, the last among them.
  nlohmann::ordered_json Of(const std::string& event, std::size_t most) const;

 private:
  std::map<std::string, std::vector<nlohmann::ordered_json>> records_;
};

// Writes report.html of a finished run from its files. Throws DataError, RunError.
void WriteRunReport(const RunFiles& files);

// Now, in UTC: "2026-11-21T19:00:00Z".
std::string TimeStamp();

}  // namespace swarmsync
