#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
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
  std::mutex mutex;
  std::exception_ptr first;
  const auto run = [&](int rank) {
    try {
      const std::unique_ptr<Communicator> comm = world.Connect(rank);
      rank_main(*comm);
    } catch (...) {
      {
        const std::lock_guard lock(mutex);
        if (!first) first = std::current_exception();
      }
      world.Abort("another rank of the test failed");
    }
  };
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) threads.emplace_back(run, rank);
  for (std::thread& thread : threads) thread.join();
  if (first) std::rethrow_exception(first);
}

// The same for a `rank_main` that returns something. Result: [size], by rank.
template <class F>
auto FromRanks(int size, F&& rank_main) {
  std::vector<std::decay_t<std::invoke_result_t<F, Communicator&>>> results(size);
  RunRanks(size, [&](Communicator& comm) { results[comm.rank()] = rank_main(comm); });
  return results;
}

}  // namespace swarmsync::testing
