#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/version.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "comm/host_groups.h"
#include "swarmsync/base/error.h"
#include "sync/algorithms.h"
#include "sync/gradient_mean.h"
#include "sync/momenta.h"
#include "sync/overlap.h"

namespace swarmsync {
namespace {

// Whether the workers begin a round together, or each goes on from where it is.
enum class Start { kTogether, kApart };

// What a swarm's velocity or SlowMo's keeps acts like a momentum whose steps are rounds: the longer they are,
// the less of it is good. So the default is one for the period of 16, and its distance from 1 grows with the
// cube root of the period, between the least and the greatest that did well at periods from 4 to 64. A
// momentum of 0.9 within the rounds leaves two fifths of that at the period of 16. Where workers begin
// together, more of it at longer ones, and less at shorter ones, which it outlasts (docs/results/family.md).
struct BlockMomentum {
  double at_period_16 = 0, least = 0, most = 0;
  Start start = Start::kTogether;

  double at(std::int64_t period, double local_momentum) const {
    const double length = static_cast<double>(period) / 16;
    const double w = 1 - (1 - at_period_16) * std::cbrt(length);
    const double done_within =
        local_momentum / 1.5 * (start == Start::kTogether ? std::pow(length, -0.25) : 1);
    return std::round(100 * std::clamp(w, least, most) * std::max(0.0, 1 - done_within)) / 100;
  }
};

// The pull to a single worker: in longer rounds the workers part further, and it takes more to hold them
// together. The least is right up to the period of 16, three times as much at 64.
struct Pull {
  double least = 0, most = least;

  double at(std::int64_t period) const {
    const double c2 = least * std::pow(static_cast<double>(period) / 16, 0.8);
    return std::clamp(std::round(100 * c2) / 100, least, most);
  }
};

struct Entry {
  const char* name;
  std::unique_ptr<Synchronizer> (*make)(FlatParams&, Communicator&, const SyncOptions&);
  std::vector<std::string> options;  // flags of its own
  double cost = 1;                   // of an exchange, in all-reduces of the weights
  BlockMomentum kept = {};           // default of inertia or slow-beta
  Pull social = {};                  // default
  double final_average = 0;          // default
};

const std::vector<Entry>& Entries() {
  static const std::vector<Entry> entries = {
      {"average", MakeAverage, {}},
      {"diloco", MakeDiLoCo, {"outer-lr", "outer-momentum"}},
      {"easgd", MakeEasgd, {"elastic-alpha"}},
      {"informed-pso-ps",
       MakeInformedPsoPs,
       {"velocity", "inertia", "social", "random", "fitness", "beta"},
       1,
       {0.7, 0.3, 0.85},
       {1.0},
       8},
      {"leader", MakeLeader, {"social", "fitness"}, 0.5, {}, {0.2}},
      {"pso-ps",
       MakePsoPs,
       {"velocity", "inertia", "cognitive", "social", "guide", "random", "memory", "memory-decay", "fitness"},
       0.5,
       {0.7, 0.3, 0.7, Start::kApart},
       {0.1, 0.3},
       8},
      {"slowmo", MakeSlowMo, {"slow-alpha", "slow-beta"}, 1, {0.7, 0.3, 0.85}},
      {"ssgd", MakeSsgd, {}}};
  return entries;
}

const Entry& Find(std::string_view name) {
  for (const Entry& entry : Entries()) {
    if (entry.name == name) return entry;
  }
  throw UsageError(UnknownName("synchronizer", name, SynchronizerNames()));
}

void Validate(const SyncOptions& options, int workers) {
  if (options.period < 1)
    throw UsageError(fmt::format("period is {}; it must be at least 1", options.period));
  if (options.total_steps < 0) {
    throw UsageError(fmt::format("total_steps is {}; it must be 0 (unknown) or more", options.total_steps));
  }
  const auto& ends = options.round_ends;
  const bool ascends = std::adjacent_find(ends.begin(), ends.end(), std::greater_equal<>()) == ends.end();
  if (!ends.empty() && !(ascends && ends.back() == options.total_steps)) {
    throw UsageError(fmt::format("round_ends ends with {}; it must ascend and end with total_steps, {}",
                                 ends.back(), options.total_steps));
  }
  if (!(options.local_momentum >= 0 && options.local_momentum < 1)) {
    throw UsageError(
        fmt::format("local_momentum is {}; it must be at least 0 and below 1", options.local_momentum));
  }
  if (!(options.overlap >= 0 && options.overlap <= options.period)) {
    throw UsageError(
        fmt::format("overlap is {}; it must be from 0 to the period, {}", options.overlap, options.period));
  }
  if (options.group_size < 1 || workers % options.group_size != 0) {
    throw UsageError(fmt::format("group_size is {}; it must divide the number of workers, {}",
                                 options.group_size, workers));
  }
  if (options.group_period < 0 || options.group_period > options.period) {
    throw UsageError(
        fmt::format("group_period is {}; it must be from 1 to the period, {}, or 0 (a quarter of it)",
                    options.group_period, options.period));
  }
  if (options.bucket_bytes < 1)
    throw UsageError(fmt::format("bucket_bytes is {}; it must be at least 1", options.bucket_bytes));
  if (options.warmup_steps < 0) {
    throw UsageError(fmt::format("warmup_steps is {}; it must be 0 or more", options.warmup_steps));
  }
  if (options.fitness == Fitness::kProbe && !options.probe) {
    throw UsageError("fitness 'probe' needs a function that evaluates the probe batch");
  }
  if (options.swarm.inertia.changes() && options.total_steps == 0) {
    throw UsageError(
        fmt::format("inertia is {}, which changes over the training and needs total_steps; it is "
                    "0 (unknown)",
                    ToString(options.swarm.inertia)));
  }
  if (!(options.clip_grad_norm >= 0 && std::isfinite(options.clip_grad_norm))) {
    throw UsageError(fmt::format("clip_grad_norm is {}; it must be 0 (off) or more", options.clip_grad_norm));
  }
  ValidateFinalAverage(options.final_average.value_or(0));
  Validate(options.swarm);
  Validate(options.peers, workers / options.group_size);
}

std::uint32_t Crc(const void* data, std::size_t bytes) {
  return static_cast<std::uint32_t>(crc32_z(0, static_cast<const Bytef*>(data), bytes));
}

std::string RoundsOf(const SyncOptions& options) {
  std::string text = fmt::format("period {}", options.period);
  if (const auto& ends = options.round_ends; !ends.empty()) {
    text += fmt::format(", {} rounds with the ends {:08x}", ends.size(),
                        Crc(ends.data(), ends.size() * sizeof(ends[0])));
  }
  return text;
}

// All that must be the same on every rank, in words.
std::string Describe(std::string_view name, const FlatParams& params, const SyncOptions& options) {
  const PsoOptions& swarm = options.swarm;
  const PeerOptions& peers = options.peers;
  return fmt::format(
      "{} of {} parameters in {} tensors, {}, total steps {}, warm-up steps {}, seed {}, fitness {}, "
      "probe {}, rate {}, local momentum {}, commit {}, "
      "guard {}, wire {}, overlap {}, groups of {}, group period {}, buckets of {} bytes, velocity {}, "
      "inertia {}, cognitive {}, social {}, random {}, memory "
      "{}, memory decay {}, "
      "beta {}, guide {}, momentum at sync {}, buffers {}, clip {}, final average {}, elastic alpha {}, slow "
      "alpha {}, slow beta "
      "{}, outer lr {}, outer momentum {}, swarmsync {} on libtorch {}",
      name, params.num_params(), params.slots().size(), RoundsOf(options), options.total_steps,
      options.warmup_steps, options.seed, ToString(options.fitness), options.probe ? "given" : "none",
      options.rate ? "given" : "none", options.local_momentum, options.commit, options.guard,
      ToString(options.wire), options.overlap, options.group_size, options.group_period, options.bucket_bytes,
      ToString(swarm.velocity), ToString(swarm.inertia), swarm.cognitive, swarm.social.value(),
      ToString(swarm.random), ToString(swarm.memory), swarm.memory_decay, swarm.beta, ToString(swarm.guide),
      ToString(options.momentum_at_sync), ToString(options.buffers), options.clip_grad_norm,
      options.final_average.value(), peers.elastic_alpha, peers.slow_alpha, peers.slow_beta.value(),
      peers.outer_lr, peers.outer_momentum, SWARMSYNC_VERSION, TORCH_VERSION);
}

void CheckAgreement(const std::string& description, Communicator& comm) {
  const std::vector<std::string> all = comm.AllGather(description);
  for (int rank = 1; rank < comm.size(); ++rank) {
    if (all[rank] != all[0]) {
      throw UsageError(
          fmt::format("the workers disagree: rank 0 runs {}; rank {} runs {}; start all with the same "
                      "options",
                      all[0], rank, all[rank]));
    }
  }
}

double Checksum(const at::Tensor& weights) {
  const at::Tensor bytes = weights.cpu();
  return Crc(bytes.data_ptr(), bytes.nbytes());
}

void MakeWeightsEqual(const FlatParams& params, Communicator& comm) {
  comm.Broadcast(params.weights(), 0);
  const std::vector<double> sums = comm.AllGather(Checksum(params.weights()));
  for (int rank = 1; rank < comm.size(); ++rank) {
    if (sums[rank] != sums[0]) {
      throw CommError(
          fmt::format("rank {} does not have rank 0's initial weights after the broadcast; check the "
                      "network and the memory of its host",
                      rank));
    }
  }
}

void RequireWire(Wire wire, const FlatParams& params) {
  if (wire == Wire::kFp32 || params.weights().is_cpu()) return;
  throw UsageError(
      fmt::format("wire is {}, and the weights are on {}; only the CPU encodes them so far, give fp32",
                  ToString(wire), params.weights().device().str()));
}

void RequireOverlap(std::string_view name, const FlatParams& params) {
  if (name == "ssgd")
    throw UsageError("overlap is given with ssgd, whose step needs the mean gradient at once");
  if (!params.weights().is_cpu()) {
    throw UsageError(fmt::format("overlap is given, and the weights are on {}; it works on the CPU so far",
                                 params.weights().device().str()));
  }
}

}  // namespace

std::vector<std::string> SynchronizerNames() {
  std::vector<std::string> names;
  for (const Entry& entry : Entries()) names.emplace_back(entry.name);
  return names;
}

std::vector<std::string> OptionsOf(std::string_view synchronizer) { return Find(synchronizer).options; }

double RelativeCost(std::string_view synchronizer) { return Find(synchronizer).cost; }

SyncOptions WithDefaults(std::string_view synchronizer, SyncOptions options) {
  const Entry& entry = Find(synchronizer);
  const auto kept = [&](const char* option) {
    const bool has_it = std::find(entry.options.begin(), entry.options.end(), option) != entry.options.end();
    return has_it ? entry.kept.at(options.period, options.local_momentum) : 0;
  };
  PsoOptions& swarm = options.swarm;
  if (swarm.inertia.is_open()) swarm.inertia = kept("inertia");
  if (!options.peers.slow_beta) options.peers.slow_beta = kept("slow-beta");
  if (!swarm.social) swarm.social = entry.social.at(options.period);
  if (!options.final_average) options.final_average = entry.final_average;
  if (options.group_period == 0) options.group_period = std::max<std::int64_t>(1, options.period / 4);
  return options;
}

std::unique_ptr<Synchronizer> MakeSynchronizer(std::string_view name, FlatParams& params, Communicator& comm,
                                               const SyncOptions& options) {
  const Entry& entry = Find(name);
  return MakeSynchronizer(name, entry.make, params, comm, WithDefaults(name, options));
}

std::unique_ptr<Synchronizer> MakeSynchronizer(std::string_view name, const SynchronizerFactory& factory,
                                               FlatParams& params, Communicator& comm,
                                               const SyncOptions& options) {
  Validate(options, comm.size());
  const SyncOptions complete = WithDefaults("average", options);
  params.Readopt();
  CheckAgreement(Describe(name, params, complete), comm);
  MakeWeightsEqual(params, comm);
  if (params.buffers().numel() > 0) comm.Broadcast(params.buffers(), 0);
  RequireWire(complete.wire, params);
  if (complete.overlap > 0) RequireOverlap(name, params);
  std::unique_ptr<FlatParams> shadow = complete.overlap > 0 ? params.Shadow() : nullptr;
  std::unique_ptr<HostGroups> groups;
  if (complete.group_size > 1) groups = std::make_unique<HostGroups>(comm, complete.group_size);
  std::unique_ptr<Synchronizer> synchronizer =
      factory(shadow ? *shadow : params, groups ? groups->groups() : comm, complete);
  synchronizer->groups_ = std::move(groups);
  if (shadow) synchronizer->overlap_.reset(new Synchronizer::Overlap(params, std::move(shadow)));
  synchronizer->ForgetBytes();
  return synchronizer;
}

}  // namespace swarmsync
