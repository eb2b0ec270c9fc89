#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "swarmsync/sync/synchronizer.h"

namespace swarmsync {

// Steps a synchronizer by hand: all workers of a swarm in this process, with positions, displacements and
// fitnesses that the caller gives, and no model, data or optimizer. For replaying a published trace against
// any synchronizer, and for tests. A round is what the caller says it is; the period matters
// for the inertia alone, where that is left open.
//
// Each call runs every worker on a thread of its own and returns when all are done. Local, not thread-safe.
class Replay {
 public:
  // The weights of all tensors, one after another, without padding.
  using Vector = std::vector<float>;

  // tensor_sizes: the lengths of the parameter tensors, which matter to RandomScope::kTensor alone; their sum
  // is the size of every vector here. initial: where all workers begin. Throws UsageError for an unknown
  // name, options out of range, sizes that do not fit and fewer than one worker.
  Replay(std::string_view synchronizer, int workers, const std::vector<std::int64_t>& tensor_sizes,
         const Vector& initial, const SyncOptions& options = {});
  ~Replay();

  // One round: worker i moves by displacements[i], which had the fitness fitness[i]; then comes the exchange.
  // For ssgd, -displacements[i] is the worker's gradient, and the step's learning rate is 1. Throws
  // UsageError for numbers of workers or elements that do not fit.
  void Round(const std::vector<Vector>& displacements, const std::vector<double>& fitness);

  int workers() const;                               // how many there are
  std::vector<Vector> positions() const;             // by rank
  Vector FinalModel();                               // what the synchronizer names as final
  const Synchronizer& synchronizer(int rank) const;  // its records

 private:
  struct Worker;

  template <class F>
  void OnAll(F&& work);

  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<class ThreadWorld> world_;
};

}  // namespace swarmsync
