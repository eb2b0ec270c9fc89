#include "swarmsync/report/run_files.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLogDirectory = "logs";

std::vector<fs::path> AllFiles(const RunFiles& files) {
  return {files.config(), files.workers(), files.metrics(), files.summary(),
          files.model(),  files.script(),  files.report(),  files.trace()};
}

void RemoveEarlierRun(const RunFiles& files) {
  for (const fs::path& file : AllFiles(files)) fs::remove(file);
  for (const fs::path& file : files.events()) fs::remove(file);
  fs::remove_all(files.directory / kLogDirectory);
  fs::remove_all(files.checkpoints());
  fs::remove_all(files.trace_parts());
}

}  // namespace

fs::path RunFiles::worker_log(int rank) const {
  return directory / kLogDirectory / fmt::format("worker-{}.log", rank);
}

fs::path RunFiles::trace_part(int worker) const {
  return trace_parts() / fmt::format("worker-{}.json", worker);
}

std::vector<fs::path> RunFiles::events() const {
  std::vector<fs::path> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    if (entry.path().filename().string().rfind(kEventsPrefix, 0) == 0) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

void CheckRunDirectory(const RunFiles& files, Existing existing) {
  const std::string name = files.directory.string();
  std::error_code ignored;
  fs::path there = files.directory;
  if (fs::exists(there, ignored)) {
    if (!fs::is_directory(there, ignored))
      throw UsageError(fmt::format("--out {} is not a directory; name another one", name));
    if (existing == Existing::kRefuse && !fs::is_empty(there, ignored)) {
      throw UsageError(fmt::format(
          "--out {} is not empty; name another one, or give --overwrite to replace the run in it", name));
    }
  }
  while (!fs::exists(there, ignored) && there.has_relative_path()) there = there.parent_path();
  if (there.empty()) there = ".";
  if (!fs::is_directory(there, ignored)) {
    throw UsageError(
        fmt::format("--out {} cannot be used: {}: Not a directory; name another one", name, there.string()));
  }
  if (access(there.c_str(), W_OK | X_OK) != 0)
    throw UsageError(fmt::format("--out {} cannot be written; name another one", name));
}

void PrepareRunDirectory(const RunFiles& files, Existing existing) {
  CheckRunDirectory(files, existing);
  try {
    fs::create_directories(files.directory);
    if (existing == Existing::kOverwrite) RemoveEarlierRun(files);
    fs::create_directories(files.directory / kLogDirectory);
  } catch (const fs::filesystem_error& error) {
    throw UsageError(fmt::format("--out {} cannot be used: {}; name another one", files.directory.string(),
                                 error.code().message()));
  }
}

void RemoveUnfinished(const RunFiles& files) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(files.directory, ignored)) {
    for (const fs::path& file : AllFiles(files)) {
      const std::string name = entry.path().filename(), prefix = file.filename().string() + ".";
      if (name.size() == prefix.size() + 6 && name.rfind(prefix, 0) == 0) fs::remove(entry.path(), ignored);
    }
  }
}

}  // namespace swarmsync
