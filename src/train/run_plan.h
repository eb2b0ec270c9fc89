#pragma once

#include <algorithm>
#include <cstdint>

#include "swarmsync/data/dataset.h"
#include "swarmsync/model/registry.h"
#include "swarmsync/train/config.h"

namespace swarmsync {

// What tensors take in the memory of a worker that trains on the CPU, in bytes.
struct MemoryPlan {
  std::int64_t model = 0;         // weights, gradients and buffers
  std::int64_t optimizer = 0;     // its state
  std::int64_t synchronizer = 0;  // its state, and what an exchange needs
  std::int64_t transport = 0;     // what arrives of a sum between processes
  std::int64_t trainer = 0;       // mini-batches read ahead, and the models that are evaluated
  std::int64_t step = 0;          // the most that forward and backward hold beside
  std::int64_t evaluation = 0;    // the most that an evaluation does, at another time
  std::int64_t data = 0;          // the images, mapped from their files where these are not compressed
  std::int64_t of_tensors() const {
    return model + optimizer + synchronizer + transport + trainer + std::max(step, evaluation);
  }
};

// What a training is going to do.
struct RunPlan {
  std::int64_t train_samples = 0, validation_samples = 0, test_samples = 0;
  std::int64_t samples_per_worker = 0;  // in an epoch, before its tail is dropped
  std::int64_t steps_per_epoch = 0, total_steps = 0;
  std::int64_t gradient_exchanges = 0;  // steps that exchange gradients
  std::int64_t rounds = 0;              // that end in an exchange of weights
  std::int64_t group_averages = 0;
  std::int64_t parameters = 0;
  // Bytes that the exchanges of the training send, as summary.json has them: the mean over the workers. They
  // differ for synchronizers that send a guide only when it is a new one.
  double least_bytes = 0, most_bytes = 0;
  MemoryPlan memory;
};

// Finds it out: makes one worker, alone, with its model, optimizer, synchronizer and trainer, and takes a few
// steps on an empty mini-batch with those who are not there (comm/echo_communicator.h). config: complete and
// valid. data: its data set. commits: as in WorkerContext. Local; the process must not train.
RunPlan PlanRun(const TrainConfig& config, const ModelRegistry& models, const Dataset& data, bool commits);

}  // namespace swarmsync
