#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "swarmsync/comm/communicator.h"
#include "swarmsync/train/config.h"

namespace swarmsync {

struct ExchangeBench {
  TrainConfig config;  // the synchronizer and its options, threads, the emulated link, the seed
  std::int64_t parameters = 11173962;
  std::int64_t repetitions = 20;
};

// Times a synchronizer's exchange of a model of so many parameters. Before each, all workers wait for each
// other and have moved, each its own way; whose fitness is the best goes round, and it improves, so that
// pso-ps has a new guide each time. A repetition takes as long as its slowest rank. Before those that count,
// the positions after some exchanges are held against those of a Replay, unless there are too many numbers
// for that. Collective. Result: on rank 0. Throws RunError when the positions are wrong.
nlohmann::ordered_json RunExchangeBench(const ExchangeBench& bench, Communicator& comm);

}  // namespace swarmsync
