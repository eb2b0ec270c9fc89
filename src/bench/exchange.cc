#include "bench/exchange.h"

#include <fmt/format.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "bench/timing.h"
#include "params/plain_parameters.h"
#include "swarmsync/base/error.h"
#include "swarmsync/comm/counting_communicator.h"
#include "swarmsync/comm/link.h"
#include "swarmsync/sync/replay.h"
#include "swarmsync/sync/synchronizer.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kVerified = 4, kWarmUps = 3;  // exchanges before those that are timed
constexpr std::int64_t kMostToVerify = 200'000'000;  // numbers of all workers together; Replay keeps several
constexpr double kTolerance = 1e-4;  // of the largest number; sums are added up in another order

double FitnessOf(int rank, std::int64_t round, int ranks) {
  const auto turn = static_cast<double>((rank + round) % ranks + 1);
  return turn / static_cast<double>(ranks * (round + 1));
}

// What a worker's local steps move, the same in every round. [parameters]
at::Tensor DisplacementOf(int rank, std::int64_t parameters) {
  const at::Tensor whole = at::arange(parameters, at::kFloat);
  return whole.mul_(0.37 * (rank + 1)).sin_().mul_(0.01);
}

SyncOptions OptionsOf(const ExchangeBench& bench) {
  SyncOptions options = SyncOptionsOf(bench.config);
  options.total_steps =
      (kVerified + kWarmUps + bench.repetitions) * options.period;  // for an inertia that changes
  return options;
}

// One worker, without a network.
class Worker {
 public:
  Worker(const ExchangeBench& bench, Communicator& comm)
      : comm_(comm),
        linked_(comm, bench.config.link, static_cast<int>(bench.config.group_size)),
        counted_(linked_, static_cast<int>(bench.config.group_size)),
        module_({bench.parameters}),
        params_(module_),
        displacement_(params_.NewState()),
        sync_(MakeSynchronizer(bench.config.sync, params_, counted_, OptionsOf(bench))) {
    displacement_.narrow(0, 0, bench.parameters).copy_(DisplacementOf(comm.rank(), bench.parameters));
  }

  // Returns the seconds of its exchange.
  double Round(std::int64_t round) {
    const bool gradients = sync_->name() == "ssgd";
    at::Tensor weights = params_.weights(), to_gradients = params_.gradients();
    if (gradients) {
      at::neg_out(to_gradients, displacement_);
    } else {
      weights.add_(displacement_);
    }
    comm_.Barrier();
    const double seconds = SecondsOf([&] {
      if (gradients) sync_->OnGradients();
      sync_->Exchange(FitnessOf(comm_.rank(), round, comm_.size()));
    });
    if (gradients) weights.sub_(to_gradients);
    return seconds;
  }

  const at::Tensor& weights() const { return params_.weights(); }
  Traffic traffic() const { return counted_.traffic(); }
  SentBytes sent() const { return counted_.sent(); }

 private:
  Communicator& comm_;
  LinkedCommunicator linked_;
  CountingCommunicator counted_;
  PlainParameters module_;
  FlatParams params_;
  at::Tensor displacement_;
  std::unique_ptr<Synchronizer> sync_;
};

// Where all workers stand after so many rounds, by rank, from a world of threads.
std::vector<Replay::Vector> Replayed(const ExchangeBench& bench, int ranks, std::int64_t rounds) {
  std::vector<Replay::Vector> displacements;
  for (int rank = 0; rank < ranks; ++rank) {
    const at::Tensor displacement = DisplacementOf(rank, bench.parameters);
    const float* const data = displacement.data_ptr<float>();
    displacements.emplace_back(data, data + bench.parameters);
  }
  Replay replay(bench.config.sync, ranks, {bench.parameters},
                Replay::Vector(static_cast<std::size_t>(bench.parameters)), OptionsOf(bench));
  for (std::int64_t round = 0; round < rounds; ++round) {
    std::vector<double> fitness;
    for (int rank = 0; rank < ranks; ++rank) fitness.push_back(FitnessOf(rank, round, ranks));
    replay.Round(displacements, fitness);
  }
  return replay.positions();
}

// The largest difference from the replayed positions, as a part of their largest number. Collective.
double ErrorOf(const ExchangeBench& bench, const at::Tensor& weights, std::int64_t rounds,
               Communicator& comm) {
  std::vector<Replay::Vector> positions;
  if (comm.rank() == 0) positions = Replayed(bench, comm.size(), rounds);
  double error = 0;
  for (int rank = 0; rank < comm.size(); ++rank) {
    at::Tensor expected = at::zeros({bench.parameters});
    if (comm.rank() == 0)
      std::copy_n(positions[static_cast<std::size_t>(rank)].begin(), bench.parameters,
                  expected.data_ptr<float>());
    comm.Broadcast(expected, 0);
    if (rank != comm.rank() || bench.parameters == 0) continue;
    const at::Tensor difference = weights.narrow(0, 0, bench.parameters) - expected;
    error = difference.abs().max().item<double>() / std::max(1e-12, expected.abs().max().item<double>());
  }
  for (const double other : comm.AllGather(error)) error = std::isnan(other) ? other : std::max(error, other);
  return error;
}

// The error of the first exchanges, unless there are too many numbers. Throws RunError when it is too large.
// Collective.
std::optional<double> Verify(const ExchangeBench& bench, const at::Tensor& weights, Communicator& comm) {
  if (bench.parameters * comm.size() > kMostToVerify) return std::nullopt;
  const double error = ErrorOf(bench, weights, kVerified, comm);
  if (error <= kTolerance) return error;
  throw RunError(
      fmt::format("the exchanges of {} are wrong: the positions differ from those of a replay by {:g} of the "
                  "largest number",
                  bench.config.sync, error));
}

}  // namespace

Json RunExchangeBench(const ExchangeBench& bench, Communicator& comm) {
  torch::NoGradGuard no_grad;
  Worker worker(bench, comm);
  std::int64_t round = 0;
  for (; round < kVerified; ++round) worker.Round(round);
  const std::optional<double> error = Verify(bench, worker.weights(), comm);
  for (; round < kVerified + kWarmUps; ++round) worker.Round(round);
  std::vector<double> mine;
  const Traffic before = worker.traffic();
  const SentBytes sent_before = worker.sent();
  for (std::int64_t i = 0; i < bench.repetitions; ++i) mine.push_back(worker.Round(round++));
  const Traffic after = worker.traffic();
  const SentBytes sent = worker.sent();
  SentBytes by_all_ranks;
  const std::vector<double> by_ranks = comm.AllGather(
      std::vector<double>{sent.all - sent_before.all, sent.between_hosts - sent_before.between_hosts});
  for (std::size_t i = 0; i < by_ranks.size(); i += 2) {
    by_all_ranks.all += by_ranks[i];
    by_all_ranks.between_hosts += by_ranks[i + 1];
  }
  std::vector<double> slowest(mine.size());
  const std::vector<double> all = comm.AllGather(mine);
  for (std::size_t i = 0; i < all.size(); ++i)
    slowest[i % slowest.size()] = std::max(slowest[i % slowest.size()], all[i]);

  const auto each = [&](auto total) {
    return static_cast<double>(total) / static_cast<double>(bench.repetitions);
  };
  Json result = {{"bench", "exchange"},
                 {"sync", bench.config.sync},
                 {"workers", comm.size()},
                 {"backend", ToString(bench.config.backend)},
                 {"parameters", bench.parameters},
                 {"wire", ToString(bench.config.wire)},
                 {"link", ToString(bench.config.link)},
                 {"group_size", bench.config.group_size},
                 {"repetitions", bench.repetitions},
                 {"milliseconds", Milliseconds(slowest)},
                 {"bytes_sent_per_worker", each(by_all_ranks.all) / comm.size()},
                 {"bytes_between_groups_per_worker", each(by_all_ranks.between_hosts) / comm.size()},
                 {"all_reduces", each(after.all_reduces - before.all_reduces)},
                 {"broadcasts", each(after.broadcasts - before.broadcasts)},
                 {"all_gathers", each(after.all_gathers - before.all_gathers)},
                 {"all_to_alls", each(after.all_to_alls - before.all_to_alls)},
                 {"error", nullptr},
                 {"libtorch", TORCH_VERSION}};
  if (error) result["error"] = *error;
  return result;
}

}  // namespace swarmsync
