#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <string>
#include <vector>

#include "swarmsync/checkpoint/checkpoint_directory.h"
#include "swarmsync/comm/communicator.h"

namespace swarmsync {

// What a message begins with that a checkpoint's part is known by.
inline constexpr const char* kCheckpointFormat = "swarmsync checkpoint 2";
inline constexpr const char* kStepKey = "step";  // in its metadata

// Writes one worker's part of the checkpoints of a training, each on a thread of its own while the training
// goes on. The last two that are complete are kept. One that some worker could not write is removed, and told
// of when the next one begins; the training goes on. Borrows the communicator.
class Checkpointer {
 public:
  using OnFailure = std::function<void(std::int64_t step, const std::string& reason)>;

  // metadata: of every part, beside the format. on_failure: called on all ranks.
  Checkpointer(CheckpointDirectory directory, Communicator& comm, std::map<std::string, std::string> metadata,
               OnFailure on_failure);
  ~Checkpointer();
  Checkpointer(const Checkpointer&) = delete;
  Checkpointer& operator=(const Checkpointer&) = delete;

  // Waits for the part before and begins to write this one. Collective.
  void Save(std::int64_t round, std::int64_t step, NamedTensors state);

  // Waits for the last one. Collective.
  void Finish();

 private:
  CheckpointDirectory directory_;
  Communicator& comm_;
  std::map<std::string, std::string> metadata_;
  OnFailure on_failure_;
  std::vector<std::int64_t> complete_;  // rounds, ascending
  std::int64_t writing_round_ = 0, writing_step_ = 0;
  std::future<std::string> writing_;  // why it failed; "" when it did not
};

// The newest checkpoint that all workers can read, and this worker's part of it.
struct FoundCheckpoint {
  CheckpointDirectory::Checkpoint checkpoint;
  WeightsFile part;  // of rank r of N workers: that of rank r mod M of the M workers that wrote it
  std::vector<std::string> damaged;  // what is wrong with those that are newer, a line each
};

// Looks for it. Where there are no checkpoints: round 0. Collective. Throws DataError on all ranks when there
// are some and none can be used.
FoundCheckpoint FindNewest(const CheckpointDirectory& directory, Communicator& comm);

// Removes what is newer than a round, and what is incomplete. Collective.
void RemoveNewer(const CheckpointDirectory& directory, std::int64_t round, Communicator& comm);

}  // namespace swarmsync
