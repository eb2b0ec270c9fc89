#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace swarmsync {

// What the names of TensorBoard's files begin with.
inline constexpr const char* kEventsPrefix = "events.out.tfevents.";

// The files of a run, in its --out directory.
struct RunFiles {
  std::filesystem::path directory;

  std::filesystem::path config() const { return directory / "config.json"; }
  std::filesystem::path workers() const { return directory / "workers.json"; }
  std::filesystem::path metrics() const { return directory / "metrics.jsonl"; }
  std::filesystem::path summary() const { return directory / "summary.json"; }
  std::filesystem::path report() const { return directory / "report.html"; }
  std::filesystem::path trace() const { return directory / "trace.json"; }
  std::filesystem::path model() const { return directory / "model.safetensors"; }
  std::filesystem::path script() const { return directory / "model.pt"; }  // of a TorchScript model
  std::filesystem::path checkpoints() const { return directory / "checkpoint"; }
  std::filesystem::path worker_log(int rank) const;
  std::filesystem::path trace_parts() const { return directory / "trace"; }  // until trace() is made of them
  std::filesystem::path trace_part(int worker) const;
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
