#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace swarmsync {

// What the names of TensorBoard's files begin with.
inline constexpr const char* kEventsPrefix = "events.out.tfevents.";

// The files of a run, in its --out directory.
struct RunFiles {
  std::filesystem::path directory;  // where all of them are

  std::filesystem::path config() const { return directory / "config.json"; }       // what was asked for
  std::filesystem::path workers() const { return directory / "workers.json"; }     // who works, and where
  std::filesystem::path metrics() const { return directory / "metrics.jsonl"; }    // records, one a line
  std::filesystem::path summary() const { return directory / "summary.json"; }     // the results
  std::filesystem::path report() const { return directory / "report.html"; }       // a page to look at
  std::filesystem::path trace() const { return directory / "trace.json"; }         // with TrainConfig::trace
  std::filesystem::path model() const { return directory / "model.safetensors"; }  // the final one
  std::filesystem::path script() const { return directory / "model.pt"; }          // of a TorchScript model
  std::filesystem::path checkpoints() const { return directory / "checkpoint"; }   // CheckpointDirectory
  std::filesystem::path worker_log(int rank) const;                          // what a worker process prints
  std::filesystem::path trace_parts() const { return directory / "trace"; }  // until trace() is made of them
  std::filesystem::path trace_part(int worker) const;                        // a worker's, in trace_parts()
  // Those for TensorBoard that are there, the oldest first.
  std::vector<std::filesystem::path> events() const;
};

// What becomes of the files of an earlier run.
enum class Existing {
  kRefuse,     // a directory that holds anything is a UsageError
  kOverwrite,  // they are removed, and nothing else is
  kContinue,   // they stay
};

// Whether PrepareRunDirectory() would do, as far as can be seen without writing. Throws what that does.
void CheckRunDirectory(const RunFiles& files, Existing existing);

// Makes the directory ready for a run: creates it, or takes an empty one. Throws UsageError when it cannot be
// created or written.
void PrepareRunDirectory(const RunFiles& files, Existing existing);

// Removes the temporary files that a writer left which was killed (AtomicFile).
void RemoveUnfinished(const RunFiles& files);

}  // namespace swarmsync
