#include "train/survivor.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kNone = -1;

// What all tensors are but their content.
std::string Describe(const NamedTensors& tensors) {
  Json all = Json::array();
  for (const auto& [name, tensor] : tensors)
    all.push_back({name, static_cast<int>(tensor.scalar_type()), tensor.sizes().vec()});
  return all.dump();
}

NamedTensors EmptyTensors(const std::string& description) {
  NamedTensors tensors;
  for (const Json& one : Json::parse(description)) {
    const auto type = static_cast<at::ScalarType>(one.at(1).get<int>());
    tensors.emplace_back(one.at(0), at::empty(one.at(2).get<std::vector<std::int64_t>>(), type));
  }
  return tensors;
}

// The tensors of rank `donor`, on all ranks. Collective: an all-gather and a broadcast of them all.
NamedTensors Share(const NamedTensors& mine, int donor, Communicator& comm) {
  const bool gives = comm.rank() == donor;
  const std::string description =
      comm.AllGather(gives ? Describe(mine) : "")[static_cast<std::size_t>(donor)];
  NamedTensors tensors = gives ? mine : EmptyTensors(description);
  std::size_t bytes = 0;
  for (const auto& [name, tensor] : tensors) bytes += tensor.nbytes();
  const at::Tensor message = at::empty({static_cast<std::int64_t>(bytes)}, at::kByte);
  const auto for_each = [&](auto copy) {
    std::uint8_t* next = message.data_ptr<std::uint8_t>();
    for (const auto& [name, tensor] : tensors) {
      if (tensor.nbytes() > 0) copy(next, tensor.data_ptr(), tensor.nbytes());
      next += tensor.nbytes();
    }
  };
  if (gives) for_each([](void* part, void* content, std::size_t size) { std::memcpy(part, content, size); });
  comm.Broadcast(message, donor);
  if (!gives) for_each([](void* part, void* content, std::size_t size) { std::memcpy(content, part, size); });
  return tensors;
}

double NumberIn(const NamedTensors& state, const std::string& name) {
  for (const auto& [key, tensor] : state) {
    if (key == name) return tensor.item<double>();
  }
  return kNone;
}

// How far a state is: what all have made together, then the steps.
std::vector<double> ProgressOf(const std::optional<NamedTensors>& state) {
  if (!state) return {kNone, kNone};
  return {NumberIn(*state, "sync.rounds"), NumberIn(*state, "sync.steps")};
}

}  // namespace

Survivor::Survivor(Worlds& worlds) : worlds_(worlds) {
  world_ = worlds_.Next("");
  if (world_.generation > 1 && !Agree(nullptr)) GoOn("another worker was lost", nullptr);
}

// To the next world in which the members agree. Who waits in the one before for this worker shall know.
void Survivor::GoOn(std::string why, Synchronizer* sync) {
  do {
    world_.comm.reset();
    world_ = worlds_.Next(why);
    why = "another worker was lost";
  } while (!Agree(sync));
}

// An exchange that one rank has applied is applied by all that are prepared to. False when this world is
// broken too. Collective.
bool Survivor::Agree(Synchronizer* sync) {
  try {
    const double mine = sync != nullptr ? static_cast<double>(sync->applied()) : kNone;
    const std::vector<double> all = world_.comm->AllGather(mine);
    const double most = *std::max_element(all.begin(), all.end());
    if (sync != nullptr && mine < most && sync->prepared()) sync->ApplyPrepared();
    return true;
  } catch (const CommError&) {
    return false;
  }
}

void Survivor::Leave(const std::string& why, Synchronizer* sync, Trainer* trainer, TrainObserver& observer) {
  if (sync != nullptr) {
    try {
      sync->Drain();
    } catch (const CommError&) {
      // It is dropped, or will be applied.
    }
  }
  GoOn(why, sync);
  if (trainer == nullptr) return;
  StateSaver saver;
  trainer->VisitState(saver, observer);
  state_ = saver.Take();
}

bool Survivor::TakeOver(Trainer& trainer, TrainObserver& observer, const at::Device& device) {
  Communicator& comm = *world_.comm;
  const std::vector<double> all = comm.AllGather(ProgressOf(state_));
  int donor = 0;
  for (int rank = 1; rank < comm.size(); ++rank) {
    const auto progress_of = [&](int r) { return std::pair(all[2 * r], all[2 * r + 1]); };
    if (progress_of(donor) < progress_of(rank)) donor = rank;
  }
  const double most_rounds = all[2 * donor];
  if (most_rounds == kNone) return false;
  const auto is_behind = [&](int rank) { return all[2 * rank] < most_rounds; };
  bool anybody = false;
  for (int rank = 0; rank < comm.size(); ++rank) anybody = anybody || is_behind(rank);
  if (anybody) {
    NamedTensors shared = Share(state_.value_or(NamedTensors()), donor, comm);
    if (is_behind(comm.rank())) state_ = std::move(shared);
  }
  StateLoader loader(*state_, "what a worker handed over", device, /*same_world=*/false);
  trainer.TakeOver(loader, observer);
  return true;
}

}  // namespace swarmsync
