#include "swarmsync/train/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "base/json.h"
#include "swarmsync/sync/synchronizer.h"
#include "train/config_fields.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kLongestTimeout = 1e6;  // seconds; what waits counts milliseconds in an int64

template <class T>
void Require(bool holds, const char* flag, const T& value, const char* allowed) {
  if (!holds) throw UsageError(fmt::format("--{} is {}; it must be {}", flag, value, allowed));
}

void RequireOneEach(const std::vector<double>& numbers, const char* flag, std::int64_t workers) {
  if (!numbers.empty() && static_cast<std::int64_t>(numbers.size()) != workers) {
    throw UsageError(fmt::format("--{}: the number of values is {}; it must be {}, one for each worker", flag,
                                 numbers.size(), workers));
  }
}

bool IsDevice(const std::string& device) {
  constexpr std::string_view kIndexed = "cuda:";
  if (device == "auto" || device == "cpu" || device == "cuda") return true;
  if (device.rfind(kIndexed, 0) != 0) return false;
  const std::string index = device.substr(kIndexed.size());
  return !index.empty() && index.size() <= 2 && index.find_first_not_of("0123456789") == std::string::npos &&
         (index.size() == 1 || index[0] != '0');
}

template <class T>
Json ToJson(const T& member) {
  if constexpr (std::is_enum_v<T> || kIsText<T>) {
    return ToString(member);
  } else if constexpr (std::is_same_v<T, Inertia>) {
    if (member.is_open()) return Json();
    return member.varies() ? Json(ToString(member)) : Json(member.value());
  } else if constexpr (std::is_same_v<T, std::optional<double>>) {
    return member ? Json(*member) : Json();
  } else {
    return member;
  }
}

template <class T>
void FromJson(const Json& json, T& member) {
  if constexpr (std::is_enum_v<T>) {
    member = ParseEnum<T>(json.get<std::string>());
  } else if constexpr (kIsText<T>) {
    ParseText(json.get<std::string>(), member);
  } else if constexpr (std::is_same_v<T, Inertia>) {
    if (json.is_string()) {
      member = ParseInertia(json.get<std::string>());
    } else {
      member = json.is_null() ? Inertia() : Inertia(json.get<double>());
    }
  } else if constexpr (std::is_same_v<T, std::optional<double>>) {
    member = json.is_null() ? std::nullopt : std::optional<double>(json.get<double>());
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    member = WholeNumber<T>(json);
  } else {
    member = json.get<T>();
  }
}

}  // namespace

void Validate(const TrainConfig& c) {
  const auto synchronizers = SynchronizerNames();
  if (std::find(synchronizers.begin(), synchronizers.end(), c.sync) == synchronizers.end()) {
    throw UsageError("--sync: " + UnknownName("synchronizer", c.sync, synchronizers));
  }
  Require(c.validation >= 0, "validation", c.validation, "0 or more");
  Require(std::isfinite(c.lr) && c.lr >= 0, "lr", c.lr, "a number of at least 0");
  for (const double lr : c.worker_lr)
    Require(std::isfinite(lr) && lr >= 0, "worker-lr", lr, "numbers of at least 0");
  RequireOneEach(c.worker_lr, "worker-lr", c.workers);
  if (!c.worker_lr.empty() && c.sync == "ssgd") {
    throw UsageError("--worker-lr is given with --sync ssgd, whose replicas would drift apart; give --lr");
  }
  if (!c.worker_lr.empty() && c.sync_warmup_steps > 0) {
    throw UsageError(
        fmt::format("--worker-lr is given with --sync-warmup-steps {}, during which all workers "
                    "must take the same steps; give one of them",
                    c.sync_warmup_steps));
  }
  for (const double part : c.label_noise)
    Require(part >= 0 && part <= 1, "label-noise", part, "numbers from 0 to 1");
  if (c.guard && c.sync == "ssgd") {
    throw UsageError(
        "--guard is given with --sync ssgd, which exchanges gradients and has no weights to judge");
  }
  if (c.momentum_at_sync != MomentumAtSync::kKeep && c.sync == "ssgd") {
    throw UsageError(fmt::format(
        "--momentum-at-sync is {} with --sync ssgd, whose exchange moves no weights; leave it out",
        ToString(c.momentum_at_sync)));
  }
  if (c.momentum_at_sync == MomentumAtSync::kMove && c.momentum == 0) {
    throw UsageError(
        "--momentum-at-sync is move, which sets the momentum of sgd, and there is none; give a --momentum "
        "above 0, or leave it out");
  }
  if (c.buffers != BuffersAtSync::kAverage && c.sync == "ssgd") {
    throw UsageError(fmt::format("--buffers is {} with --sync ssgd, which exchanges no buffers; leave it out",
                                 ToString(c.buffers)));
  }
  RequireOneEach(c.label_noise, "label-noise", c.workers);
  Require(c.momentum >= 0 && c.momentum < 1, "momentum", c.momentum, "at least 0 and below 1");
  Require(std::isfinite(c.weight_decay) && c.weight_decay >= 0, "weight-decay", c.weight_decay,
          "a number of at least 0");
  if (c.nesterov && c.momentum == 0) throw UsageError("--nesterov needs a --momentum above 0");
  if (c.optimizer == OptimizerKind::kAdamW && c.momentum != 0) {
    throw UsageError(
        fmt::format("--momentum is {}; it belongs to sgd, and the optimizer is adamw", c.momentum));
  }
  Require(c.image_size >= 0 && c.image_size <= 16384, "image-size", c.image_size, "from 1 to 16384");
  if (c.image_size > 0 && c.dataset.rfind("images:", 0) != 0) {
    throw UsageError(fmt::format("--image-size is {} with --dataset {}; it belongs to images:DIR",
                                 c.image_size, c.dataset));
  }
  Require(c.loader_threads >= 0 && c.loader_threads <= 256, "loader-threads", c.loader_threads,
          "from 0 to 256");
  Require(std::isfinite(c.lr_warmup) && c.lr_warmup >= 0, "lr-warmup", c.lr_warmup, "a number of at least 0");
  Require(c.label_smoothing >= 0 && c.label_smoothing < 1, "label-smoothing", c.label_smoothing,
          "at least 0 and below 1");
  Require(std::isfinite(c.clip_grad_norm) && c.clip_grad_norm >= 0, "clip-grad-norm", c.clip_grad_norm,
          "a number of at least 0");
  Require(c.batch_size >= 1, "batch-size", c.batch_size, "at least 1");
  Require(c.accumulate >= 1 && c.accumulate <= c.batch_size, "accumulate", c.accumulate,
          "from 1 to the batch size");
  Require(c.recalibrate >= 0, "recalibrate", c.recalibrate, "at least 0");
  Require(c.epochs >= 0, "epochs", c.epochs, "at least 1");
  Require(c.steps >= 0, "steps", c.steps, "at least 1");
  if (c.epochs > 0 && c.steps > 0) throw UsageError("--epochs and --steps are both given; give one of them");
  Require(c.period >= 1, "period", c.period, "at least 1");
  if (c.overlap < 0 || c.overlap > c.period) {
    throw UsageError(
        fmt::format("--overlap is {}; it must be from 0 to the period, {}", c.overlap, c.period));
  }
  if (c.overlap > 0 && c.sync == "ssgd") {
    throw UsageError(fmt::format(
        "--overlap is {} with --sync ssgd, whose step needs the mean gradient at once; leave it out",
        c.overlap));
  }
  if (c.group_size < 1 || c.workers % c.group_size != 0) {
    throw UsageError(
        fmt::format("--group-size is {}; it must divide the number of workers, {}", c.group_size, c.workers));
  }
  if (c.group_period < 0 || c.group_period > c.period) {
    throw UsageError(
        fmt::format("--group-period is {}; it must be from 1 to the period, {}", c.group_period, c.period));
  }
  Require(c.bucket_mb >= 1e-6 && c.bucket_mb <= 1e6, "bucket-mb", c.bucket_mb, "from 0.000001 to 1000000");
  Require(c.period_by_lr >= 0 && c.period_by_lr <= 10, "period-by-lr", c.period_by_lr, "from 0 to 10");
  if (c.period_by_lr > 0 && c.overlap > 0 && c.overlap + 1 >= c.period) {
    throw UsageError(fmt::format(
        "--period-by-lr is {} with --overlap {}, which leaves a round of {} steps nothing to become "
        "shorter by; lower the overlap",
        c.period_by_lr, c.overlap, c.period));
  }
  if (c.period_by_lr > 0 && c.sync == "ssgd") {
    throw UsageError(
        fmt::format("--period-by-lr is {} with --sync ssgd, which exchanges at every step; leave it out",
                    c.period_by_lr));
  }
  Require(c.sync_warmup_steps >= 0, "sync-warmup-steps", c.sync_warmup_steps, "at least 0");
  try {
    ValidateFinalAverage(c.final_average.value_or(0));
    Validate(c.swarm);
    Validate(c.peers, static_cast<int>(c.workers / c.group_size));
  } catch (const UsageError& error) {
    throw UsageError(std::string("--") + error.what());
  }
  Require(c.workers >= 1 && c.workers <= 4096, "workers", c.workers, "from 1 to 4096");
  Require(c.threads_per_worker >= 0, "threads-per-worker", c.threads_per_worker, "at least 1");
  Require(c.timeout > 0 && c.timeout <= kLongestTimeout, "timeout", c.timeout,
          "a number of seconds above 0 and at most 1000000");
  if (c.min_workers < 0 || c.min_workers > c.workers) {
    throw UsageError(fmt::format("--min-workers is {}; it must be from 1 to the number of workers, {}",
                                 c.min_workers, c.workers));
  }
  Require(c.max_restarts >= 0, "max-restarts", c.max_restarts, "0 or more");
  if (!IsDevice(c.device)) {
    throw UsageError(fmt::format(
        "--device is {}; give auto, cpu, cuda, or cuda:I with the number of a GPU, from 0", c.device));
  }
  Require(c.log_every >= 1, "log-every", c.log_every, "at least 1");
  Require(c.checkpoint_every >= 0, "checkpoint-every", c.checkpoint_every, "0 or more");
  Require(c.check_replicas >= 0, "check-replicas", c.check_replicas, "0 or more");
}

SyncOptions SyncOptionsOf(const TrainConfig& config) {
  SyncOptions options;
  options.period = config.period;
  options.seed = config.seed;
  options.local_momentum = config.momentum;
  options.warmup_steps = config.sync_warmup_steps;
  options.swarm = config.swarm;
  options.peers = config.peers;
  options.fitness = config.fitness;
  options.guard = config.guard;
  options.momentum_at_sync = config.momentum_at_sync;
  options.buffers = config.buffers;
  options.wire = config.wire;
  options.overlap = config.overlap;
  options.group_size = static_cast<int>(config.group_size);
  options.group_period = config.group_period;
  options.bucket_bytes = static_cast<std::int64_t>(1e6 * config.bucket_mb);
  options.clip_grad_norm = config.clip_grad_norm;
  options.final_average = config.final_average;
  return options;
}

std::string ToJsonText(const TrainConfig& config) {
  Json json;
  VisitFields(config, [&](const char* name, const auto& member, const char*, const char*) {
    json[KeyOf(name)] = ToJson(member);
  });
  return json.dump(2) + "\n";
}

TrainConfig FromJsonText(const std::string& text) {
  TrainConfig config;
  try {
    const Json json = ParseJson<Json>(text);
    if (!json.is_object()) throw DataError("it is not a JSON object");
    std::size_t known = 0;
    VisitFields(config, [&](const char* name, auto& member, const char*, const char*) {
      const auto found = json.find(KeyOf(name));
      if (found == json.end()) return;
      ++known;
      FromJson(*found, member);
    });
    if (known != json.size())
      throw DataError(fmt::format("it has {} keys that are not options", json.size() - known));
  } catch (const std::exception& error) {
    throw DataError(fmt::format("the configuration cannot be read: {}", error.what()));
  }
  return config;
}

}  // namespace swarmsync
