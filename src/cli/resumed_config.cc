#include "cli/resumed_config.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/report/run_files.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

// Lengths, workers, and what is shown and kept: nothing that a step depends on.
const std::set<std::string_view> kMayChange{
    "epochs",         "steps",     "workers",   "backend",     "device",       "threads-per-worker",
    "loader-threads", "timeout",   "transport", "out",         "data-dir",     "checkpoint-every",
    "check-replicas", "log-every", "quiet",     "min-workers", "max-restarts", "progress",
    "trace"};

Json StoredConfig(const std::filesystem::path& directory) {
  const std::filesystem::path file = RunFiles{directory}.config();
  try {
    const std::string text = ReadFile(file);
    FromJsonText(text);  // of another version it may be none
    return Json::parse(text);
  } catch (const DataError& error) {
    throw DataError(fmt::format("--resume {}: it holds no run to go on with ({}); give the --out of one",
                                directory.string(), error.what()));
  }
}

}  // namespace

std::string AbsoluteDirectory(const std::string& name) {
  const std::filesystem::path whole = std::filesystem::absolute(name).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).string();
}

TrainConfig ResumedConfig(const TrainConfig& given, const CLI::App& command) {
  const std::string directory = AbsoluteDirectory(given.resume);
  Json config = StoredConfig(directory);
  config["overwrite"] = false;
  config["out"] = directory;

  const auto is_given = [&](const std::string& flag) { return command.get_option("--" + flag)->count() > 0; };
  const Json now = Json::parse(ToJsonText(given));
  for (const auto& [key, value] : now.items()) {
    std::string flag = key;
    std::replace(flag.begin(), flag.end(), '_', '-');
    if (flag == "resume" || !is_given(flag)) continue;
    if (kMayChange.count(flag) == 0 && config.value(key, value) != value) {
      throw UsageError(
          fmt::format("--{} is {} and the run in {} has {}; leave it out: with --resume only lengths, "
                      "workers and what is shown may change",
                      flag, value.dump(), directory, config[key].dump()));
    }
    config[key] = value;
  }
  // One of a pair replaces the other; what was made of the number of workers is made anew.
  if (is_given("epochs")) config["steps"] = now["steps"];
  if (is_given("steps")) config["epochs"] = now["epochs"];
  for (const char* flag : {"min-workers", "threads-per-worker"}) {
    std::string key = flag;
    std::replace(key.begin(), key.end(), '-', '_');
    if (is_given("workers") && !is_given(flag)) config[key] = 0;
  }
  config["resume"] = directory;
  return FromJsonText(config.dump());
}

}  // namespace swarmsync
