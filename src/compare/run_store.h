#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "compare/plan.h"

namespace swarmsync {

// A run that has been made: a line of runs.jsonl.
struct RunRecord {
  Stage stage = Stage::kTune;
  Flags flags;  // all that `train` was told; what identifies the run
  bool failed = false;
  std::string message;               // of a failed run
  nlohmann::ordered_json result;     // of a run that is done: what summary.json said
  nlohmann::ordered_json epochs;     // records of metrics.jsonl
  nlohmann::ordered_json exchanges;  // of them what the report draws, thinned; final runs only
};

// The runs of a comparison, in a file that only grows. Holds a lock on it: a second comparison in the same
// directory is a UsageError. A last line that a writer was killed in is dropped. Not thread-safe.
class RunStore {
 public:
  // Creates the file when it is not there. Throws DataError for lines that cannot be read, RunError.
  explicit RunStore(const std::filesystem::path& path);
  ~RunStore();
  RunStore(const RunStore&) = delete;
  RunStore& operator=(const RunStore&) = delete;

  const RunRecord* Find(const Flags& flags) const;  // null when it has not been made
  void Add(RunRecord record);                       // on the disk when it returns
  // Takes the failed runs for not made.
  void ForgetFailures();

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  std::map<Flags, RunRecord> runs_;
};

// What the plan asks for, from the store. Borrows it.
Outcomes OutcomesIn(const RunStore& store);

}  // namespace swarmsync
