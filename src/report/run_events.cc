// TensorBoard's page of hyperparameters takes the description of the whole experiment from any one run that
// has it, else makes it of all runs and then knows in what they differ. So a run here has none, but what it
// began with and how it ended (tensorboard/plugins/hparams/plugin_data.proto).

#include "report/run_events.h"

#include <fmt/format.h>

#include <cstdlib>
#include <protozero/pbf_writer.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;
using protozero::pbf_writer;
using Scalars = std::vector<std::pair<std::string, double>>;

constexpr std::string_view kPlugin = "hparams";

// Fields, by message.
namespace plugin_data {
enum : protozero::pbf_tag_type { kSessionStart = 3, kSessionEnd = 4 };
}
namespace session_start {
enum : protozero::pbf_tag_type { kParameters = 1, kTime = 5 };
}
namespace entry {
enum : protozero::pbf_tag_type { kKey = 1, kValue = 2 };
}
namespace value {
enum : protozero::pbf_tag_type { kNumber = 2, kString = 3, kBool = 4 };
}
namespace session_end {
enum : protozero::pbf_tag_type { kStatus = 1, kTime = 2 };
constexpr std::int32_t kSuccess = 1;
}  // namespace session_end

// A member of the configuration as people write it: lists with commas.
std::string TextOf(const Json& member) {
  if (member.is_string()) return member.get<std::string>();
  if (!member.is_array()) return member.is_null() ? "" : member.dump();
  std::string text;
  for (const Json& part : member) text += (text.empty() ? "" : ",") + TextOf(part);
  return text;
}

std::string TableOf(const Json& config) {
  std::string table = "| flag | value |\n| --- | --- |\n";
  for (const auto& [key, member] : config.items()) {
    std::string text = TextOf(member);
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
      text.insert(at, 1, '\\');
    table += fmt::format("| {} | {} |\n", key, text);
  }
  return table;
}

std::string SessionStart(const Json& hyperparameters) {
  std::string bytes;
  pbf_writer data(bytes);
  pbf_writer start(data, plugin_data::kSessionStart);
  for (const auto& [key, member] : hyperparameters.items()) {
    pbf_writer parameter(start, session_start::kParameters);
    parameter.add_string(entry::kKey, key);
    pbf_writer content(parameter, entry::kValue);
    if (member.is_boolean()) {
      content.add_bool(value::kBool, member.get<bool>());
    } else if (member.is_number()) {
      content.add_double(value::kNumber, member.get<double>());
    } else {
      content.add_string(value::kString, TextOf(member));
    }
  }
  start.add_double(session_start::kTime, UnixSeconds());
  return bytes;
}

std::string SessionEnd() {
  std::string bytes;
  pbf_writer data(bytes);
  pbf_writer end(data, plugin_data::kSessionEnd);
  end.add_enum(session_end::kStatus, session_end::kSuccess);
  end.add_double(session_end::kTime, UnixSeconds());
  return bytes;
}

void AddNumber(Scalars& scalars, const Json& record, const char* key, std::string tag) {
  const auto found = record.find(key);
  if (found != record.end() && found->is_number()) scalars.emplace_back(std::move(tag), found->get<double>());
}

void AddByWorker(Scalars& scalars, const Json& record, const char* key) {
  const auto found = record.find(key);
  if (found == record.end()) return;
  for (std::size_t rank = 0; rank < found->size(); ++rank)
    scalars.emplace_back(fmt::format("{}/worker_{}", key, rank), found->at(rank).get<double>());
}

Scalars ScalarsOf(const Json& record) {
  Scalars scalars;
  const auto& event = record.at("event").get_ref<const std::string&>();
  if (event == "loss") {
    AddNumber(scalars, record, "loss", "train/loss");
    AddNumber(scalars, record, "lr", "train/learning_rate");
  } else if (event == "epoch") {
    AddNumber(scalars, record, "train_loss", "train/epoch_loss");
    for (const char* set : {"validation", "test"}) {
      if (!record.contains(set)) continue;
      for (const char* key : {"accuracy", "loss"})
        AddNumber(scalars, record.at(set), key, fmt::format("{}/{}", set, key));
    }
  } else if (event == "exchange") {
    for (const char* key :
         {"best", "improvement", "spread", "displacement", "pull", "move", "bytes", "seconds"})
      AddNumber(scalars, record, key, fmt::format("exchange/{}", key));
    scalars.emplace_back("exchange/left_out", static_cast<double>(record.at("left_out").size()));
    AddByWorker(scalars, record, "fitness");
    AddByWorker(scalars, record, "inertia");
  } else if (event == "membership") {
    AddNumber(scalars, record, "workers", "membership/workers");
  }
  return scalars;
}

}  // namespace

RunEvents::RunEvents(const RunFiles& files, const Json& config, const Json& hyperparameters)
    : files_(files), file_(files.directory) {
  file_.Text("config/text_summary", 0, TableOf(config));
  file_.PluginData("_hparams_/session_start_info", kPlugin, SessionStart(hyperparameters));
}

void RunEvents::Append(const Json& record) {
  if (const Scalars scalars = ScalarsOf(record); !scalars.empty())
    file_.Scalars(record.at("step").get<std::int64_t>(), scalars);
}

void RunEvents::Finish(const Json& summary) {
  Scalars scalars;
  for (const char* key : {"test_accuracy", "test_loss", "train_loss", "validation_accuracy",
                          "validation_loss", "bytes_sent_per_worker", "samples_per_second", "wall_seconds"})
    AddNumber(scalars, summary, key, fmt::format("hparam/{}", key));
  file_.Scalars(summary.at("steps").get<std::int64_t>(), scalars);
  file_.PluginData("_hparams_/session_end_info", kPlugin, SessionEnd());
}

std::string RunEvents::position() const {
  return fmt::format("{} {}", file_.size(), file_.path().filename().string());
}

void RunEvents::ForgetTheRest(const std::string& position) const {
  const std::size_t space = position.find(' ');
  const std::string last = space == std::string::npos ? "" : position.substr(space + 1);
  for (const std::filesystem::path& path : files_.events()) {
    const std::string name = path.filename().string();
    if (path == file_.path()) continue;
    if (name == last) ShortenFile(path, std::strtoull(position.c_str(), nullptr, 10));
    if (name > last) std::filesystem::remove(path);
  }
}

}  // namespace swarmsync
