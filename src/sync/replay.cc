#include "swarmsync/sync/replay.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <numeric>

#include "params/plain_parameters.h"
#include "swarmsync/base/error.h"
#include "swarmsync/comm/thread_world.h"

namespace swarmsync {
namespace {

constexpr std::chrono::seconds kTimeout{600};  // of a thread for another; they all work for a moment

// Adds `values`, without padding, to a flat tensor of the parameters.
void Add(const FlatParams& params, const at::Tensor& flat, const std::vector<float>& values) {
  for (const FlatParams::Slot& slot : params.slots()) {
    float* const to = flat.data_ptr<float>() + slot.offset;
    for (std::int64_t i = 0; i < slot.size; ++i)
      to[i] += values[static_cast<std::size_t>(slot.logical_offset + i)];
  }
}

std::vector<float> WithoutPadding(const FlatParams& params, const at::Tensor& flat) {
  std::vector<float> values;
  for (const FlatParams::Slot& slot : params.slots()) {
    const float* const from = flat.data_ptr<float>() + slot.offset;
    values.insert(values.end(), from, from + slot.size);
  }
  return values;
}

void RequireSize(std::size_t found, std::size_t wanted, const char* what) {
  if (found != wanted) throw UsageError(fmt::format("{}: {} numbers; there must be {}", what, found, wanted));
}

}  // namespace

struct Replay::Worker {
  explicit Worker(const std::vector<std::int64_t>& sizes) : module(sizes), params(module) {}

  PlainParameters module;
  FlatParams params;
  std::unique_ptr<Communicator> comm;
  std::unique_ptr<Synchronizer> sync;
};

Replay::Replay(std::string_view synchronizer, int workers, const std::vector<std::int64_t>& tensor_sizes,
               const Vector& initial, const SyncOptions& options) {
  if (workers < 1) throw UsageError(fmt::format("{} workers; there must be at least 1", workers));
  const auto size = std::accumulate(tensor_sizes.begin(), tensor_sizes.end(), std::int64_t{0});
  RequireSize(initial.size(), static_cast<std::size_t>(size), "the initial position");
  world_ = std::make_unique<ThreadWorld>(workers, kTimeout);
  for (int rank = 0; rank < workers; ++rank) workers_.push_back(std::make_unique<Worker>(tensor_sizes));
  OnAll([&](int rank, Worker& worker) {
    torch::NoGradGuard no_grad;
    Add(worker.params, worker.params.weights(), initial);
    worker.comm = world_->Connect(rank);
    worker.sync = MakeSynchronizer(synchronizer, worker.params, *worker.comm, options);
  });
}

Replay::~Replay() = default;

void Replay::Round(const std::vector<Vector>& displacements, const std::vector<double>& fitness) {
  RequireSize(displacements.size(), workers_.size(), "displacements");
  RequireSize(fitness.size(), workers_.size(), "fitness");
  for (const Vector& displacement : displacements) {
    RequireSize(displacement.size(), static_cast<std::size_t>(workers_[0]->params.num_params()),
                "a displacement");
  }
  OnAll([&](int rank, Worker& worker) {
    torch::NoGradGuard no_grad;
    const Vector& displacement = displacements[static_cast<std::size_t>(rank)];
    if (worker.sync->name() == "ssgd") {
      at::Tensor gradients = worker.params.gradients();
      gradients.zero_();
      Add(worker.params, gradients, displacement);
      gradients.neg_();
      worker.sync->OnGradients();
      at::Tensor weights = worker.params.weights();
      weights.sub_(gradients);
    } else {
      Add(worker.params, worker.params.weights(), displacement);
    }
    worker.sync->Exchange(fitness[static_cast<std::size_t>(rank)]);
    worker.sync->Drain();
  });
}

int Replay::workers() const { return static_cast<int>(workers_.size()); }

std::vector<Replay::Vector> Replay::positions() const {
  std::vector<Vector> positions;
  for (const auto& worker : workers_)
    positions.push_back(WithoutPadding(worker->params, worker->params.weights()));
  return positions;
}

Replay::Vector Replay::FinalModel() {
  Vector model;
  OnAll([&](int rank, Worker& worker) {
    const at::Tensor flat = worker.params.NewState();
    worker.sync->WriteFinalModel(flat, {});
    if (rank == 0) model = WithoutPadding(worker.params, flat);
  });
  return model;
}

const Synchronizer& Replay::synchronizer(int rank) const {
  return *workers_.at(static_cast<std::size_t>(rank))->sync;
}

// Calls work(rank, worker) on a thread for each worker.
template <class F>
void Replay::OnAll(F&& work) {
  world_->Run([&](int rank) { work(rank, *workers_[static_cast<std::size_t>(rank)]); });
}

}  // namespace swarmsync
