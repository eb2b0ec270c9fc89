#include "report/run_report.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <sstream>

#include "base/json.h"
#include "report/html_report.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

// What a chart can show and a page can hold.
constexpr std::size_t kMostLosses = 1000, kMostExchanges = 500, kMostEpochs = 1000, kMostEvents = 200;

Json EpochForReport(const Json& record) {
  Json epoch = Json::object();
  const auto take = [&epoch](const Json& from, const char* key, const std::string& name) {
    if (from.contains(key)) epoch[name] = from.at(key);
  };
  take(record, "epoch", "epoch");
  take(record, "train_loss", "train_loss");
  for (const char* set : {"test", "validation"}) {
    if (!record.contains(set)) continue;
    take(record.at(set), "accuracy", fmt::format("{}_accuracy", set));
    take(record.at(set), "loss", fmt::format("{}_loss", set));
  }
  return epoch;
}

// All are counted, and the first are listed.
Json EventsForReport(const std::vector<Json>& events) {
  const auto listed = static_cast<std::ptrdiff_t>(std::min(events.size(), kMostEvents));
  return {{"count", events.size()}, {"first", std::vector<Json>(events.begin(), events.begin() + listed)}};
}

Json ReadJson(const std::filesystem::path& path) {
  try {
    return ParseJson<Json>(ReadFile(path));
  } catch (const Json::exception& error) {
    throw DataError(fmt::format("{}: {}", path.string(), error.what()));
  }
}

// What the page of a run holds.
Json PageOf(const RunFiles& files, const Json& config, const Json& summary, const Metrics& metrics) {
  Json run = RunForReport(summary, metrics.Of("epoch", kMostEpochs), metrics.Of("exchange", kMostExchanges));
  run["losses"] = metrics.Of("loss", kMostLosses);
  run["membership"] = EventsForReport(metrics.Of("membership"));
  run["failed_checkpoints"] = EventsForReport(metrics.Of("checkpoint_failed"));
  run["status"] = "done";
  try {
    for (const char* key : {"sync", "period", "seed"}) run[key] = summary.at(key);
    run["dataset"] = config.at("dataset");
    return {{"kind", "train"},
            {"title", fmt::format("{} on {}, {} workers", summary.at("sync").get<std::string>(),
                                  config.at("dataset").get<std::string>(), summary.at("workers").dump())},
            {"created", TimeStamp()},
            {"config", config},
            {"versions", summary.at("versions")},
            {"runs", Json::array({run})}};
  } catch (const Json::exception& error) {
    throw DataError(fmt::format("{} or {} is not of a finished run: {}", files.summary().string(),
                                files.config().filename().string(), error.what()));
  }
}

}  // namespace

Json RunForReport(const Json& summary, const Json& epochs, const Json& exchanges) {
  Json run;
  for (const char* key : {"test_accuracy", "test_loss", "train_loss", "bytes_sent_per_worker", "rounds",
                          "steps", "samples_per_second"}) {
    if (summary.contains(key)) run[key] = summary.at(key);
  }
  Json seconds = Json::object();
  for (const char* part : {"setup", "data", "compute", "sync", "wait", "evaluate", "checkpoint"}) {
    const std::string key = fmt::format("{}_seconds", part);
    if (summary.contains(key)) seconds[part] = summary.at(key);
  }
  run["seconds"] = seconds;
  run["epochs"] = Json::array();
  for (const Json& record : epochs) run["epochs"].push_back(EpochForReport(record));
  run["exchanges"] = exchanges;
  return run;
}

Metrics::Metrics(const RunFiles& files) {
  std::istringstream lines(ReadFile(files.metrics()));
  std::string line;
  try {
    while (std::getline(lines, line)) {
      Json record = ParseJson<Json>(line);
      records_[record.at("event").get<std::string>()].push_back(std::move(record));
    }
  } catch (const Json::exception& error) {
    throw DataError(fmt::format("{}: {}", files.metrics().string(), error.what()));
  }
}

const std::vector<Json>& Metrics::Of(const std::string& event) const {
  static const std::vector<Json> none;
  const auto found = records_.find(event);
  return found == records_.end() ? none : found->second;
}

Json Metrics::Of(const std::string& event, std::size_t most) const {
  Json kept = Json::array();
  const std::vector<Json>& all = Of(event);
  const std::size_t stride = (all.size() + most - 1) / most;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if ((all.size() - 1 - i) % stride == 0) kept.push_back(all[i]);
  }
  return kept;
}

void WriteRunReport(const RunFiles& files) {
  const Json config = ReadJson(files.config()), summary = ReadJson(files.summary());
  WriteFileAtomically(files.report(), RenderReport(PageOf(files, config, summary, Metrics(files))));
}

std::string TimeStamp() { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))); }

}  // namespace swarmsync
