#include "compare/run_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/json.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

Json ToJson(const RunRecord& record) {
  Json json = {{"stage", record.stage == Stage::kTune ? "tune" : "final"},
               {"flags", record.flags},
               {"status", record.failed ? "failed" : "done"}};
  if (record.failed) json["message"] = record.message;
  if (!record.failed) json["result"] = record.result;
  if (!record.epochs.empty()) json["epochs"] = record.epochs;
  if (!record.exchanges.empty()) json["exchanges"] = record.exchanges;
  return json;
}

// What the plan wants to know of a run that is done.
double Accuracy(const RunRecord& record) {
  const char* key = record.stage == Stage::kTune ? "validation_accuracy" : "test_accuracy";
  return record.result.at(key).get<double>();
}

RunRecord FromJson(const Json& json) {
  RunRecord record;
  record.stage = json.at("stage") == "tune" ? Stage::kTune : Stage::kFinal;
  record.flags = json.at("flags").get<Flags>();
  record.failed = json.at("status") == "failed";
  record.message = json.value("message", "");
  record.result = json.value("result", Json());
  record.epochs = json.value("epochs", Json::array());
  record.exchanges = json.value("exchanges", Json::array());
  if (!record.failed) Accuracy(record);
  return record;
}

}  // namespace

RunStore::RunStore(const std::filesystem::path& path) : path_(path) {
  fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0) throw RunError(fmt::format("{}: cannot be opened: {}", path.string(), std::strerror(errno)));
  if (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    close(fd_);
    throw UsageError(fmt::format("{}: another comparison is at work on it; wait for it or give another --out",
                                 path.string()));
  }
  const std::string text = ReadFile(path);
  std::size_t begin = 0;
  for (std::size_t number = 1; begin < text.size(); ++number) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) {  // a writer was killed in it
      if (ftruncate(fd_, static_cast<off_t>(begin)) != 0)
        throw RunError(fmt::format("{}: cannot be cut: {}", path.string(), std::strerror(errno)));
      break;
    }
    try {
      RunRecord record = FromJson(ParseJson<Json>(std::string_view(text).substr(begin, end - begin)));
      runs_[record.flags] = std::move(record);
    } catch (const std::exception& error) {
      close(fd_);
      throw DataError(
          fmt::format("{}: line {} is no record of a run ({}); remove it, and the run is made again",
                      path.string(), number, error.what()));
    }
    begin = end + 1;
  }
}

RunStore::~RunStore() { close(fd_); }

const RunRecord* RunStore::Find(const Flags& flags) const {
  const auto found = runs_.find(flags);
  return found == runs_.end() ? nullptr : &found->second;
}

void RunStore::Add(RunRecord record) {
  const std::string line = ToJson(record).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  std::size_t written = 0;
  while (written < line.size()) {
    const ssize_t count = write(fd_, line.data() + written, line.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      throw RunError(fmt::format("{}: cannot be written: {}", path_.string(), std::strerror(errno)));
    written += static_cast<std::size_t>(count);
  }
  if (fsync(fd_) != 0)
    throw RunError(fmt::format("{}: cannot be written: {}", path_.string(), std::strerror(errno)));
  const Flags flags = record.flags;
  runs_[flags] = std::move(record);
}

void RunStore::ForgetFailures() {
  for (auto run = runs_.begin(); run != runs_.end();) {
    run = run->second.failed ? runs_.erase(run) : std::next(run);
  }
}

Outcomes OutcomesIn(const RunStore& store) {
  return [&store](const Flags& flags) -> std::optional<double> {
    const RunRecord* record = store.Find(flags);
    if (record == nullptr) return std::nullopt;
    if (record->failed) return -1.0;
    return Accuracy(*record);
  };
}

}  // namespace swarmsync
