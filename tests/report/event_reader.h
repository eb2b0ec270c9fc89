#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/child_process.h"

namespace swarmsync::testing {

// What a reader that shares nothing with the writer (read_events.py) finds in TensorBoard's files, one after
// the other; a file that it cannot read is a failure.
inline std::vector<nlohmann::json> ReadEvents(const std::vector<std::filesystem::path>& files) {
  std::vector<std::string> command{SWARMSYNC_PYTHON, "-B",
                                   SWARMSYNC_SOURCE_DIR "/tests/report/read_events.py"};
  command.insert(command.end(), files.begin(), files.end());
  ChildProcess reader(command);
  std::vector<nlohmann::json> events;
  while (const auto line = reader.ReadLine()) events.push_back(nlohmann::json::parse(*line));
  EXPECT_EQ(reader.Wait(), 0);
  return events;
}

// What TensorBoard makes of them: the values of each tag by step. A session that starts takes those from its
// step on away; a step that comes twice is a failure.
inline std::map<std::string, std::map<std::int64_t, nlohmann::json>> SeriesOf(
    const std::vector<nlohmann::json>& events) {
  std::map<std::string, std::map<std::int64_t, nlohmann::json>> series;
  for (const nlohmann::json& event : events) {
    const std::int64_t step = event.at("step");
    if (event.contains("session")) {
      for (auto& [tag, values] : series) values.erase(values.lower_bound(step), values.end());
    }
    if (!event.contains("values")) continue;
    for (const auto& [tag, value] : event.at("values").items()) {
      const bool first = series[tag].emplace(step, value).second;
      EXPECT_TRUE(first || step == 0) << tag << " has step " << step << " twice";
    }
  }
  return series;
}

}  // namespace swarmsync::testing
