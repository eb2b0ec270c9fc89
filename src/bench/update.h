#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

namespace swarmsync {

struct UpdateBench {
  std::int64_t parameters = 11173962;
  std::int64_t repetitions = 20;
  std::int64_t threads = 1;
};

// Times the fused move of a particle (swarm/update.h) for each meaning of the velocity and each scope of the
// random factors, against the same equations composed of tensor operations and against the machine's triad,
// a[i] = b[i] + s c[i], which all take turns. Bytes count as in STREAM: each array that is read or written,
// once for each. First holds each against the equations. Local. Throws RunError when a result is wrong.
nlohmann::ordered_json RunUpdateBench(const UpdateBench& bench);

}  // namespace swarmsync
