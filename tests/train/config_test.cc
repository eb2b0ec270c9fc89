#include "swarmsync/train/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "support/errors.h"
#include "train/config_fields.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using OrderedJson = nlohmann::ordered_json;
using testing::MessageOf;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

using Change = std::function<void(TrainConfig&)>;

TrainConfig Changed(const Change& change) {
  TrainConfig config;
  change(config);
  return config;
}

TEST(ValidateTrainConfig, TheDefaultsAreFine) {
  const TrainConfig defaults;
  Validate(defaults);
}

TEST(ValidateTrainConfig, RefusesEveryValueOutOfRangeWithFlagValueAndWhatIsAllowed) {
  struct Case {
    Change change;
    std::string flag, value, hint;
  };
  const std::vector<Case> cases{
      {[](auto& c) { c.sync = "psops"; }, "--sync", "'psops'", "did you mean 'pso-ps'?"},
      {[](auto& c) { c.sync = ""; }, "--sync", "''", "one of average, diloco, easgd"},
      {[](auto& c) { c.validation = -1; }, "--validation", "-1", "0 or more"},
      {[](auto& c) { c.lr = -0.25; }, "--lr", "-0.25", "at least 0"},
      {[](auto& c) { c.lr = kNaN; }, "--lr", "nan", "a number"},
      {[](auto& c) { c.lr = kInfinity; }, "--lr", "inf", "a number"},
      {[](auto& c) { c.momentum = -0.5; }, "--momentum", "-0.5", "below 1"},
      {[](auto& c) { c.momentum = 1; }, "--momentum", "1", "below 1"},
      {[](auto& c) { c.momentum = kNaN; }, "--momentum", "nan", "below 1"},
      {[](auto& c) { c.weight_decay = -1; }, "--weight-decay", "-1", "at least 0"},
      {[](auto& c) { c.weight_decay = kNaN; }, "--weight-decay", "nan", "a number"},
      {[](auto& c) { c.weight_decay = kInfinity; }, "--weight-decay", "inf", "a number"},
      {[](auto& c) { c.nesterov = true; }, "--nesterov", "--momentum", "above 0"},
      {[](auto& c) { c.optimizer = OptimizerKind::kAdamW, c.momentum = 0.5; }, "--momentum", "0.5", "sgd"},
      {[](auto& c) { c.epochs = -1; }, "--epochs", "-1", "at least 1"},
      {[](auto& c) { c.steps = -1; }, "--steps", "-1", "at least 1"},
      {[](auto& c) { c.epochs = 2, c.steps = 3; }, "--epochs", "--steps", "one of them"},
      {[](auto& c) { c.batch_size = 0; }, "--batch-size", "0", "at least 1"},
      {[](auto& c) { c.batch_size = -8; }, "--batch-size", "-8", "at least 1"},
      {[](auto& c) { c.period = 0; }, "--period", "0", "at least 1"},
      {[](auto& c) { c.period = -1; }, "--period", "-1", "at least 1"},
      {[](auto& c) { c.swarm.inertia = 1; }, "--inertia", "1", "below 1"},
      {[](auto& c) { c.swarm.inertia = -0.5; }, "--inertia", "-0.5", "at least 0"},
      {[](auto& c) { c.swarm.inertia = kNaN; }, "--inertia", "nan", "at least 0"},
      {[](auto& c) {
         c.swarm.inertia = {0.5, 1};
       },
       "--inertia", "1", "below 1"},
      {[](auto& c) { c.final_average = -1; }, "--final-average", "-1", "from 0 to 1000"},
      {[](auto& c) { c.swarm.cognitive = 4.5; }, "--cognitive", "4.5", "from 0 to 4"},
      {[](auto& c) { c.swarm.cognitive = kNaN; }, "--cognitive", "nan", "from 0 to 4"},
      {[](auto& c) {
         c.worker_lr = {.1, .2};
       },
       "--worker-lr", "is 2", "4, one for each worker"},
      {[](auto& c) {
         c.worker_lr = {.1, .2, -1, .1};
       },
       "--worker-lr", "-1", "at least 0"},
      {[](auto& c) {
         c.worker_lr = {.1, .2, .1, .1}, c.sync = "ssgd";
       },
       "--worker-lr", "ssgd", "give --lr"},
      {[](auto& c) {
         c.worker_lr = {.1, .2, .1, .1}, c.sync_warmup_steps = 9;
       },
       "--sync-warmup-steps", "9", "give one of them"},
      {[](auto& c) {
         c.label_noise = {0, 0, 0, 1.5};
       },
       "--label-noise", "1.5", "from 0 to 1"},
      {[](auto& c) { c.label_noise = {1}; }, "--label-noise", "is 1", "4, one for each worker"},
      {[](auto& c) { c.guard = true, c.sync = "ssgd"; }, "--guard", "ssgd", "no weights to judge"},
      {[](auto& c) { c.buffers = BuffersAtSync::kLocal, c.sync = "ssgd"; }, "--buffers is local", "ssgd",
       "leave it"},
      {[](auto& c) { c.momentum_at_sync = MomentumAtSync::kMove; }, "--momentum-at-sync is move", "none",
       "--momentum above 0"},
      {[](auto& c) { c.period_by_lr = -1; }, "--period-by-lr", "-1", "from 0 to 10"},
      {[](auto& c) { c.period_by_lr = 1, c.period = 4, c.overlap = 3; }, "--overlap 3", "of 4 steps",
       "lower"},
      {[](auto& c) { c.period_by_lr = 1, c.sync = "ssgd"; }, "--period-by-lr is 1", "ssgd", "leave it out"},
      {[](auto& c) { c.sync_warmup_steps = -1; }, "--sync-warmup-steps", "-1", "at least 0"},
      {[](auto& c) { c.peers.elastic_alpha = .5; }, "--elastic-alpha", "0.5", "below 2 / workers"},
      {[](auto& c) { c.peers.slow_alpha = 0; }, "--slow-alpha", "0", "above 0"},
      {[](auto& c) { c.peers.slow_beta = 1; }, "--slow-beta", "1", "below 1"},
      {[](auto& c) { c.peers.outer_lr = 0; }, "--outer-lr", "0", "above 0"},
      {[](auto& c) { c.peers.outer_momentum = 1; }, "--outer-momentum", "1", "below 1"},
      {[](auto& c) { c.swarm.beta = -1; }, "--beta", "-1", "from 0"},
      {[](auto& c) { c.swarm.social = -1; }, "--social", "-1", "from 0 to 4"},
      {[](auto& c) { c.swarm.social = kInfinity; }, "--social", "inf", "from 0 to 4"},
      {[](auto& c) { c.swarm.memory_decay = 1.5; }, "--memory-decay", "1.5", "from 0 to 1"},
      {[](auto& c) { c.swarm.memory_decay = kNaN; }, "--memory-decay", "nan", "from 0 to 1"},
      {[](auto& c) { c.workers = 0; }, "--workers", "0", "from 1 to 4096"},
      {[](auto& c) { c.workers = -2; }, "--workers", "-2", "from 1 to 4096"},
      {[](auto& c) { c.workers = 4097; }, "--workers", "4097", "from 1 to 4096"},
      {[](auto& c) { c.threads_per_worker = -1; }, "--threads-per-worker", "-1", "at least 1"},
      {[](auto& c) { c.timeout = 0; }, "--timeout", "0", "above 0"},
      {[](auto& c) { c.timeout = -3; }, "--timeout", "-3", "above 0"},
      {[](auto& c) { c.timeout = kNaN; }, "--timeout", "nan", "above 0"},
      {[](auto& c) { c.timeout = kInfinity; }, "--timeout", "inf", "above 0"},
      {[](auto& c) { c.timeout = 1e300; }, "--timeout", "1e+300", "at most"},
      {[](auto& c) { c.max_restarts = -1; }, "--max-restarts", "-1", "0 or more"},
      {[](auto& c) { c.min_workers = 5; }, "--min-workers", "5", "4"},
      {[](auto& c) { c.min_workers = -4; }, "--min-workers", "-4", "4"},
      {[](auto& c) { c.device = "gpu"; }, "--device", "gpu", "auto, cpu, cuda, or cuda:I"},
      {[](auto& c) { c.device = "cuda:"; }, "--device", "cuda:", "auto, cpu, cuda, or cuda:I"},
      {[](auto& c) { c.device = "cuda:-1"; }, "--device", "cuda:-1", "auto, cpu, cuda, or cuda:I"},
      {[](auto& c) { c.device = "cuda:01"; }, "--device", "cuda:01", "auto, cpu, cuda, or cuda:I"},
      {[](auto& c) { c.device = "cuda:1000"; }, "--device", "cuda:1000", "auto, cpu, cuda, or cuda:I"},
      {[](auto& c) { c.log_every = 0; }, "--log-every", "0", "at least 1"},
      {[](auto& c) { c.image_size = -1; }, "--image-size", "-1", "from 1 to 16384"},
      {[](auto& c) { c.image_size = 32; }, "--image-size", "32 with --dataset mnist", "images:DIR"},
      {[](auto& c) { c.loader_threads = -1; }, "--loader-threads", "-1", "from 0 to 256"},
      {[](auto& c) { c.lr_warmup = -1; }, "--lr-warmup", "-1", "at least 0"},
      {[](auto& c) { c.lr_warmup = kInfinity; }, "--lr-warmup", "inf", "a number"},
      {[](auto& c) { c.label_smoothing = 1; }, "--label-smoothing", "1", "below 1"},
      {[](auto& c) { c.label_smoothing = kNaN; }, "--label-smoothing", "nan", "below 1"},
      {[](auto& c) { c.clip_grad_norm = -2; }, "--clip-grad-norm", "-2", "at least 0"},
      {[](auto& c) { c.accumulate = 0; }, "--accumulate", "0", "from 1 to the batch size"},
      {[](auto& c) { c.accumulate = 65; }, "--accumulate", "65", "from 1 to the batch size"},
      {[](auto& c) { c.recalibrate = -1; }, "--recalibrate", "-1", "at least 0"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(MessageOf<UsageError>([&] { Validate(Changed(c.change)); }),
                AllOf(HasSubstr(c.flag), HasSubstr(c.value), HasSubstr(c.hint), Not(HasSubstr("\n"))));
  }
}

TEST(ValidateTrainConfig, TakesWhatIsJustInRange) {
  const std::vector<Change> changes{
      [](auto& c) { c.lr = 0; },
      [](auto& c) { c.momentum = 0.999, c.nesterov = true; },
      [](auto& c) { c.weight_decay = 0.5; },
      [](auto& c) { c.optimizer = OptimizerKind::kAdamW; },
      [](auto& c) { c.epochs = 1; },
      [](auto& c) { c.steps = 1; },
      [](auto& c) { c.batch_size = 1; },
      [](auto& c) { c.period = 1; },
      [](auto& c) { c.swarm.inertia = 0; },
      [](auto& c) { c.swarm.inertia = 0.999; },
      [](auto& c) { c.swarm.cognitive = 4, c.swarm.social = 0; },
      [](auto& c) { c.swarm.memory_decay = 1; },
      [](auto& c) { c.workers = 1; },
      [](auto& c) { c.workers = 4096; },
      [](auto& c) { c.min_workers = c.workers; },
      [](auto& c) { c.timeout = 0.001; },
      [](auto& c) { c.device = "cpu"; },
      [](auto& c) { c.device = "cuda"; },
      [](auto& c) { c.device = "cuda:15"; },
      [](auto& c) { c.log_every = 1; },
      [](auto& c) { c.dataset = "images:x", c.image_size = 1; },
      [](auto& c) { c.loader_threads = 0; },
      [](auto& c) { c.label_smoothing = 0.999; },
      [](auto& c) { c.accumulate = 64; },
  };
  for (const Change& change : changes) Validate(Changed(change));
}

// A value for a field that is not its default.
struct MakeDifferent {
  void operator()(const char*, std::string& member, const char*, const char*) const { member += " \"ä\"/x"; }
  void operator()(const char*, double& member, const char*, const char*) const { member += 1.0 / 3; }
  void operator()(const char*, std::int64_t& member, const char*, const char*) const { member += 1L << 40; }
  void operator()(const char*, std::uint64_t& member, const char*, const char*) const {
    member = std::numeric_limits<std::uint64_t>::max();
  }
  void operator()(const char*, bool& member, const char*, const char*) const { member = !member; }
  void operator()(const char*, Sharding& member, const char*, const char*) const {
    member.skew_alpha = 1.0 / 3;
  }
  void operator()(const char*, Schedule& member, const char*, const char*) const {
    member = ParseSchedule("step:1.5,3@0.25");
  }
  void operator()(const char*, Link& member, const char*, const char*) const {
    member = ParseLink("1.3mbit,0.7ms");
  }
  void operator()(const char*, Inertia& member, const char*, const char*) const { member = Inertia::Auto(); }
  void operator()(const char*, std::optional<double>& member, const char*, const char*) const {
    member = 1.0 / 3;
  }
  void operator()(const char*, std::vector<double>& member, const char*, const char*) const {
    member = {1.0 / 3, 0};
  }
  template <class E, class = std::enable_if_t<std::is_enum_v<E>>>
  void operator()(const char*, E& member, const char*, const char*) const {
    const auto& names = EnumNames<E>::kNames;
    member = names.back().first == member ? names.front().first : names.back().first;
  }
};

// Each field as text, by flag.
std::map<std::string, std::string> Fields(const TrainConfig& config) {
  std::map<std::string, std::string> fields;
  VisitFields(config, [&](const char* name, const auto& member, const char*, const char*) {
    using Member = std::decay_t<decltype(member)>;
    if constexpr (std::is_enum_v<Member> || kIsText<Member> || std::is_same_v<Member, Inertia>) {
      fields[name] = ToString(member);
    } else if constexpr (std::is_same_v<Member, std::optional<double>>) {
      fields[name] = member ? OrderedJson(*member).dump() : "none";
    } else {
      fields[name] = OrderedJson(member).dump();
    }
  });
  return fields;
}

TEST(ConfigJson, EveryFieldSurvives) {
  const TrainConfig defaults;
  TrainConfig config;
  VisitFields(config, MakeDifferent());
  const auto fields = Fields(config), default_fields = Fields(defaults);
  for (const auto& [name, value] : fields) EXPECT_NE(value, default_fields.at(name)) << name;

  EXPECT_EQ(Fields(FromJsonText(ToJsonText(config))), fields);
  EXPECT_EQ(Fields(FromJsonText(ToJsonText(defaults))), default_fields);
}

TEST(ConfigJson, HasTheFlagsWithUnderscores) {
  const TrainConfig defaults;
  const OrderedJson json = OrderedJson::parse(ToJsonText(defaults));
  std::size_t fields = 0;
  VisitFields(defaults, [&](const char* name, const auto&, const char* help, const char* group) {
    ++fields;
    std::string key = name;
    std::replace(key.begin(), key.end(), '-', '_');
    EXPECT_TRUE(json.contains(key)) << key;
    EXPECT_GT(std::string(help).size(), 5u) << name;
    EXPECT_GT(std::string(group).size(), 2u) << name;
  });
  EXPECT_EQ(json.size(), fields);
  EXPECT_EQ(json.at("batch_size"), 64);
  EXPECT_EQ(json.at("memory"), "current");
}

TEST(ConfigJson, MissingKeysKeepTheirDefaults) {
  const TrainConfig config = FromJsonText(R"({"period": 3, "velocity": "swarm"})");
  EXPECT_EQ(config.period, 3);
  EXPECT_EQ(config.swarm.velocity, Velocity::kSwarm);
  const TrainConfig defaults;
  EXPECT_EQ(config.workers, defaults.workers);
}

TEST(ConfigJson, WhatItDoesNotKnowIsRefused) {
  for (const std::string text :
       {"", "{", "[]", "null", "\"period\"", R"({"periods": 3})", R"({"period": "three"})",
        R"({"period": 1e300})", R"({"lr": null})", R"({"velocity": "speed"})", R"({"velocity": 3})",
        R"({"quiet": 1})", R"({"batch-size": 3})"}) {
    EXPECT_THAT(MessageOf<DataError>([&] { FromJsonText(text); }), HasSubstr("configuration")) << text;
  }
  EXPECT_THAT(MessageOf<DataError>([&] { FromJsonText(R"({"velocity": "speed"})"); }), HasSubstr("'speed'"));
}

}  // namespace
}  // namespace swarmsync
