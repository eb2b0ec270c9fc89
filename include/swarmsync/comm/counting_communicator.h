#pragma once

#include <cstdint>

#include "swarmsync/comm/communicator.h"

namespace swarmsync {

// Calls made and bytes sent. The bytes are those of all ranks together, by the algorithms that are used
// between processes (and that every implementation is charged for, so that backends compare), for N ranks and
// a message of B bytes from a rank, or to each rank:
//   all-reduce:              2 (N-1) B
//   broadcast:                 (N-1) B
//   all-gather, all-to-all:  N (N-1) B
struct Traffic {
  std::int64_t all_reduces = 0;
  std::int64_t broadcasts = 0;
  std::int64_t all_gathers = 0;
  std::int64_t all_to_alls = 0;
  std::int64_t bytes_all_ranks = 0;
};

// Passes every call on and counts it. Borrows `inner`. Same threads and failures as `inner`; a call that
// failed is counted, for some of its bytes were sent.
class CountingCommunicator : public Communicator {
 public:
  explicit CountingCommunicator(Communicator& inner) : inner_(inner) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override;
  void Broadcast(const at::Tensor& inout, int root) override;
  void AllGatherBytes(const void* mine, std::size_t bytes, void* all) override;
  void AllToAllBytes(const void* mine, std::size_t bytes, void* all) override;

  const Traffic& traffic() const { return traffic_; }

 private:
  std::int64_t FromEachToEach(std::size_t bytes) const;

  Communicator& inner_;
  Traffic traffic_;
};

}  // namespace swarmsync
