#include "swarmsync/report/status_pipe.h"

#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no NaN: a number that is not finite travels as null.
double Number(const Json& json, const char* key) {
  const Json& value = json.at(key);
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

Json ToJson(const Progress& p) {
  return {{"kind", "progress"},
          {"step", p.step},
          {"total_steps", p.total_steps},
          {"epoch", p.epoch},
          {"epochs", p.epochs},
          {"loss", p.loss},
          {"samples_per_second", p.samples_per_second},
          {"exchange_share", p.exchange_share},
          {"seconds_left", p.seconds_left}};
}
Json ToJson(const StatusNote& note) { return {{"kind", "note"}, {"line", note.line}}; }
Json ToJson(const StatusFailure& failure) {
  return {{"kind", "failure"}, {"code", static_cast<int>(failure.code)}, {"message", failure.message}};
}

Json ToJson(const StatusWaiting& waiting) {
  return {{"kind", "waiting"}, {"generation", waiting.generation}, {"why", waiting.why}};
}

}  // namespace

std::string EncodeStatus(const Status& status) {
  return std::visit([](const auto& value) { return ToJson(value); }, status)
      .dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
}

Status DecodeStatus(std::string_view line) {
  try {
    const Json json = ParseJson<Json>(line);
    const auto kind = json.at("kind").get<std::string>();
    if (kind == "progress") {
      Progress progress;
      progress.step = WholeNumber(json.at("step"));
      progress.total_steps = WholeNumber(json.at("total_steps"));
      progress.epoch = Number(json, "epoch");
      progress.epochs = Number(json, "epochs");
      progress.loss = Number(json, "loss");
      progress.samples_per_second = Number(json, "samples_per_second");
      progress.exchange_share = Number(json, "exchange_share");
      progress.seconds_left = Number(json, "seconds_left");
      return progress;
    }
    if (kind == "note") return StatusNote{json.at("line")};
    if (kind == "failure") {
      return StatusFailure{static_cast<ExitCode>(WholeNumber<int>(json.at("code"))), json.at("message")};
    }
    if (kind == "waiting") return StatusWaiting{WholeNumber<int>(json.at("generation")), json.at("why")};
    throw DataError(fmt::format(
        "a worker's status has the unknown kind '{}'; was the program replaced while it ran? Start again",
        kind));
  } catch (const Json::exception& error) {
    throw DataError(fmt::format("a worker's status cannot be read: {}", error.what()));
  }
}

void SendStatus(int fd, const Status& status) {
  const std::string line = EncodeStatus(status) + "\n";
  [[maybe_unused]] const ssize_t written = write(fd, line.data(), line.size());
}

}  // namespace swarmsync
