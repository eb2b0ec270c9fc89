#pragma once

#include <chrono>
#include <type_traits>
#include <vector>

#include "swarmsync/comm/communicator.h"
#include "swarmsync/comm/thread_world.h"

namespace swarmsync::testing {

// Calls `rank_main` as every rank of a world of threads and waits for all. When one throws, the others' waits
// end, and what it threw is thrown again here.
template <class F>
void RunRanks(int size, F&& rank_main, std::chrono::duration<double> timeout = std::chrono::seconds(60)) {
  ThreadWorld world(size, timeout);
  world.Run([&](int rank) { rank_main(*world.Connect(rank)); });
}

// The same for a `rank_main` that returns something. Result: [size], by rank.
template <class F>
auto FromRanks(int size, F&& rank_main) {
  std::vector<std::decay_t<std::invoke_result_t<F, Communicator&>>> results(size);
  RunRanks(size, [&](Communicator& comm) { results[comm.rank()] = rank_main(comm); });
  return results;
}

}  // namespace swarmsync::testing
