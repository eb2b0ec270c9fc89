#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "swarmsync/comm/communicator.h"
#include "swarmsync/data/dataset.h"
#include "swarmsync/model/registry.h"
#include "swarmsync/report/status_pipe.h"
#include "swarmsync/train/config.h"

namespace swarmsync {

// What surrounds one worker of a run.
struct WorkerContext {
  Communicator& comm;           // of all workers of the run; borrowed
  const ModelRegistry& models;  // for config.model; borrowed
  double started = 0;           // MonotonicSeconds() when the command began
  std::function<void(const Status&)>
      tell_status;                   // called by rank 0; and, for a stall, by any thread of any rank
  std::function<void()> check_stop;  // called before every step; throws to stop
  std::optional<Dataset> data = std::nullopt;  // config.dataset, for workers that share it; else it is opened
  at::Device device = at::kCPU;                // that this worker trains on
  bool commits = false;                        // exchanges (SyncOptions::commit)
  int worker = -1;                             // the same in all worlds; -1: the rank
};

// Those who train together, until one of them is lost or another joins.
struct World {
  std::unique_ptr<Communicator> comm;  // of its members
  int generation = 1;                  // 1: the first
  std::string reason;                  // why it is not the one before, in words
  bool last = false;                   // too few are left: they write a checkpoint, and end
};

// How a worker comes from one world to the next. One thread.
class Worlds {
 public:
  virtual ~Worlds() = default;
  // Meets the members of the next world; the communicator of the one before is gone. why: what is wrong with
  // it; "" for the first. Throws an Error that is no CommError when this worker is in none.
  virtual World Next(const std::string& why) = 0;
  // Whether the members are to go to the next one.
  virtual bool ChangeIsDue() = 0;
  virtual int worker() const = 0;  // the same in all worlds
};

// A run that can begin.
struct CheckedRun {
  Dataset data;                       // as it was opened
  std::vector<std::string> warnings;  // what the user should know all the same, a line each
};

// Checks all that can be checked before workers start: the configuration, the data, the model, the shards.
// The model is tried on the CPU, whatever the workers train on. Local. Throws what RunWorker() would, so that
// a user reads one line and not one from each worker.
CheckedRun CheckRun(const TrainConfig& config, const ModelRegistry& models, int world_size);

// One worker's whole part of `swarmsync train`: data, model, synchronizer, training; rank 0 writes the files
// of the run into config.out, which exists. Collective. One call a thread.
void RunWorker(const TrainConfig& config, const WorkerContext& context);

// The same for a worker that goes on when others are lost: what surrounds it but for the communicator is as
// in `context`, whose own is not used. Not collective with any world as a whole: members come and go.
void RunWorkerThrough(Worlds& worlds, const TrainConfig& config, const WorkerContext& context);

// Limits libtorch's and the BLAS's threads for work that the calling thread does. 0: leaves them as they are.
void UseThreads(int threads);

}  // namespace swarmsync
