#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "swarmsync/comm/communicator.h"

namespace swarmsync {

// A group of ranks that are threads of this process. Its sums are taken in rank order, so they are the same
// in every run. Connect() may be called from any thread, once for each rank; the communicators may outlive
// the ThreadWorld object. A world of one is the communicator of a process that works alone.
class ThreadWorld {
 public:
  // timeout: of every wait for another rank. Throws UsageError for fewer than one rank, and for a timeout
  // that is not above 0.
  explicit ThreadWorld(int size, std::chrono::duration<double> timeout = std::chrono::seconds(60));
  ~ThreadWorld();

  // The communicator of a rank. Waits for nobody. Throws UsageError for a rank that is not in 0 … size - 1.
  std::unique_ptr<Communicator> Connect(int rank);

  // Calls rank_main(rank) for every rank, on a thread of its own each, and returns when all have. When one
  // throws, the others' waits end (Abort()), and what the first threw is thrown again here. From one thread
  // at a time.
  void Run(const std::function<void(int rank)>& rank_main);

  // Makes every wait of every rank, present and future, throw CommError with this reason. The first reason
  // stays. Any thread.
  void Abort(const std::string& reason);

  struct State;  // what the ranks share; private to thread_world.cc

 private:
  std::shared_ptr<State> state_;
};

}  // namespace swarmsync
