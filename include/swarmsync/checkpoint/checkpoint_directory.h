#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <vector>

#include "swarmsync/params/safetensors.h"

namespace swarmsync {

// The checkpoints of a run, which its workers write side by side, each its own part:
//
//     DIR/round-00000128/rank-0-of-4.safetensors   a worker's state
//     DIR/round-00000128/rank-0-of-4.sha256        its checksum, as sha256sum writes it
//
// A part is there when its checksum is, a checkpoint when the parts of all workers are. Any number of ranks
// and processes may use the directory at once. Local.
class CheckpointDirectory {
 public:
  // path: DIR, which Save() creates where it is not there yet.
  explicit CheckpointDirectory(std::filesystem::path path) : path_(std::move(path)) {}

  // Which checkpoint of the directory.
  struct Checkpoint {
    std::int64_t round = 0;  // unlike steps, they only grow when the number of workers changes
    int world_size = 0;      // how many workers it has a part of
  };

  const std::filesystem::path& path() const { return path_; }  // DIR
  std::filesystem::path PathOf(std::int64_t round) const;      // DIR/round-00000128

  // Writes a part and waits until it is on the disk. Throws RunError.
  void Save(const Checkpoint& checkpoint, int rank, const WeightsFile& part) const;

  // Reads and verifies a part. Throws DataError that names the file and what is wrong with it.
  WeightsFile Load(const Checkpoint& checkpoint, int rank) const;

  // Those of which all parts are there, the newest first. None where there is no such directory.
  std::vector<Checkpoint> Complete() const;

  // Removes all checkpoints and parts but those of these rounds, and those of rounds behind `up_to`. What
  // cannot be removed stays.
  void KeepOnly(const std::vector<std::int64_t>& rounds,
                std::int64_t up_to = std::numeric_limits<std::int64_t>::max()) const;

 private:
  std::filesystem::path path_;
};

}  // namespace swarmsync
