#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "swarmsync/checkpoint/state.h"
#include "swarmsync/train/run_worker.h"
#include "swarmsync/train/trainer.h"

namespace swarmsync {

// A worker's way from one world to the next: its state, and what the members agree on when they meet.
class Survivor {
 public:
  // Waits for the first world.
  explicit Survivor(Worlds& worlds);

  Communicator& comm() { return *world_.comm; }
  const World& world() const { return world_; }

  // The world is broken: keeps the state of what is trained and goes on to the next. sync and trainer are not
  // to be used for anything but that; null before they have this worker's state. Collective in the next
  // world. Throws CommError when there is none for this worker.
  void Leave(const std::string& why, Synchronizer* sync, Trainer* trainer, TrainObserver& observer);

  // Gives a trainer the state that the worker left the world before with, or, if it has none, or others have
  // made a step together since, that of a worker that is ahead. Returns false when nobody has any: all begin
  // anew. Collective.
  bool TakeOver(Trainer& trainer, TrainObserver& observer, const at::Device& device);

 private:
  void GoOn(std::string why, Synchronizer* sync);
  bool Agree(Synchronizer* sync);

  Worlds& worlds_;
  World world_;
  std::optional<NamedTensors> state_;
};

}  // namespace swarmsync
