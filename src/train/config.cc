#include "swarmsync/train/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "swarmsync/sync/synchronizer.h"
#include "train/config_fields.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kLongestTimeout = 1e6;  // seconds; what waits counts milliseconds in an int64

std::string Key(const char* flag) {
  std::string key = flag;
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

template <class T>
void Require(bool holds, const char* flag, const T& value, const char* allowed) {
  if (!holds) throw UsageError(fmt::format("--{} is {}; it must be {}", flag, value, allowed));
}

}  // namespace

void Validate(const TrainConfig& c) {
  const auto synchronizers = SynchronizerNames();
  if (std::find(synchronizers.begin(), synchronizers.end(), c.sync) == synchronizers.end()) {
    throw UsageError("--sync: " + UnknownName("synchronizer", c.sync, synchronizers));
  }
  Require(c.validation >= 0, "validation", c.validation, "0 or more");
  Require(std::isfinite(c.lr) && c.lr >= 0, "lr", c.lr, "a number of at least 0");
  Require(c.momentum >= 0 && c.momentum < 1, "momentum", c.momentum, "at least 0 and below 1");
  Require(std::isfinite(c.weight_decay) && c.weight_decay >= 0, "weight-decay", c.weight_decay,
          "a number of at least 0");
  if (c.nesterov && c.momentum == 0) throw UsageError("--nesterov needs a --momentum above 0");
  if (c.optimizer == OptimizerKind::kAdamW && c.momentum != 0) {
    throw UsageError(
        fmt::format("--momentum is {}; it belongs to sgd, and the optimizer is adamw", c.momentum));
  }
  Require(c.epochs >= 0, "epochs", c.epochs, "at least 1");
  Require(c.steps >= 0, "steps", c.steps, "at least 1");
  if (c.epochs > 0 && c.steps > 0) throw UsageError("--epochs and --steps are both given; give one of them");
  Require(c.batch_size >= 1, "batch-size", c.batch_size, "at least 1");
  Require(c.period >= 1, "period", c.period, "at least 1");
  try {
    Validate(c.swarm);
  } catch (const UsageError& error) {
    throw UsageError(std::string("--") + error.what());
  }
  Require(c.workers >= 1 && c.workers <= 4096, "workers", c.workers, "from 1 to 4096");
  Require(c.threads_per_worker >= 0, "threads-per-worker", c.threads_per_worker, "at least 1");
  Require(c.timeout > 0 && c.timeout <= kLongestTimeout, "timeout", c.timeout,
          "a number of seconds above 0 and at most 1000000");
  if (c.min_workers != 0 && c.min_workers != c.workers) {
    throw UsageError(
        fmt::format("--min-workers is {}; going on without a lost worker is not built yet, so it must be "
                    "the number of workers, {}",
                    c.min_workers, c.workers));
  }
  if (c.device != "auto" && c.device != "cpu") {
    throw UsageError(
        fmt::format("--device is {}; this version trains on the CPU only: give auto or cpu", c.device));
  }
  Require(c.log_every >= 1, "log-every", c.log_every, "at least 1");
}

std::string ToJsonText(const TrainConfig& config) {
  Json json;
  VisitFields(config, [&](const char* name, const auto& member, const char*, const char*) {
    if constexpr (std::is_enum_v<std::decay_t<decltype(member)>>) {
      json[Key(name)] = ToString(member);
    } else {
      json[Key(name)] = member;
    }
  });
  return json.dump(2) + "\n";
}

TrainConfig FromJsonText(const std::string& text) {
  TrainConfig config;
  try {
    const Json json = Json::parse(text);
    if (!json.is_object()) throw DataError("it is not a JSON object");
    std::size_t known = 0;
    VisitFields(config, [&](const char* name, auto& member, const char*, const char*) {
      const auto found = json.find(Key(name));
      if (found == json.end()) return;
      ++known;
      using Member = std::decay_t<decltype(member)>;
      if constexpr (std::is_enum_v<Member>) {
        member = ParseEnum<Member>(found->template get<std::string>());
      } else {
        member = found->template get<Member>();
      }
    });
    if (known != json.size())
      throw DataError(fmt::format("it has {} keys that are not options", json.size() - known));
  } catch (const std::exception& error) {
    throw DataError(fmt::format("the configuration cannot be read: {}", error.what()));
  }
  return config;
}

}  // namespace swarmsync
