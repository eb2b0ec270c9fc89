#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "swarmsync/model/registry.h"

namespace swarmsync {

struct TrainBench {
  std::string dataset = "mnist", data_dir, model = "lenet5";
  std::int64_t batch_size = 64;
  std::int64_t steps = 400;
  std::int64_t repetitions = 5;
  std::int64_t threads = 1;
};

// Times the training of one worker, as `swarmsync train` makes it (`average`, plain SGD), against the
// shortest loop of libtorch's own that trains the same network from the same weights on the same
// mini-batches, which lie ready in memory. The two take turns. Local. Throws RunError when their losses
// differ.
nlohmann::ordered_json RunTrainBench(const TrainBench& bench, const ModelRegistry& models);

}  // namespace swarmsync
