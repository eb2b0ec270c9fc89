#pragma once

#include <cstdint>
#include <memory>

#include "swarmsync/comm/communicator.h"

namespace swarmsync {

// Calls made and bytes sent. The bytes are those of all ranks together, by the algorithms that are used
// between processes (and that every implementation is charged for, so that backends compare), for N ranks and
// a message of B bytes from a rank, or to each rank:
//   all-reduce:              2 (N-1) B
//   broadcast:                 (N-1) B
//   all-gather, all-to-all:  N (N-1) B
struct Traffic {
  std::int64_t all_reduces = 0;      // calls of AllReduce()
  std::int64_t broadcasts = 0;       // calls of Broadcast()
  std::int64_t all_gathers = 0;      // calls of AllGatherBytes(), which Barrier() and every AllGather() make
  std::int64_t all_to_alls = 0;      // calls of AllToAllBytes()
  std::int64_t bytes_all_ranks = 0;  // sent by all of them
};

// Bytes that a rank sends.
struct SentBytes {
  double all = 0;            // to whichever rank, on this host or another
  double between_hosts = 0;  // as if each rank of a group sent the same to every other
};

// Passes every call on and counts it. Borrows `inner`. Same threads and failures as `inner`; a call that
// failed is counted, for some of its bytes were sent.
class CountingCommunicator : public Communicator {
 public:
  // ranks_per_host: ranks 0 to ranks_per_host - 1 are on one host, the next so many on another.
  explicit CountingCommunicator(Communicator& inner, int ranks_per_host = 1);
  ~CountingCommunicator() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override;
  void Broadcast(const at::Tensor& inout, int root) override;
  void AllGatherBytes(const void* mine, std::size_t bytes, void* all) override;
  void AllToAllBytes(const void* mine, std::size_t bytes, void* all) override;
  // As Communicator::Split(); the group that it gives is counted too.
  std::unique_ptr<Communicator> Split(int color, double patience) override;

  // Of this group: its bytes. The calls are those in groups that were split off too. Any thread.
  Traffic traffic() const;

  // Sent by this rank up to now, in this group and in those split off from it, each with the mean over its
  // ranks. Any thread.
  SentBytes sent() const;

 private:
  struct Tally;
  std::int64_t FromEachToEach(std::size_t bytes) const;
  void Count(std::int64_t Traffic::*calls, std::int64_t bytes_all_ranks);

  std::unique_ptr<Communicator> owned_;  // of a group that was split off
  Communicator& inner_;
  int rank_, size_;  // known when `inner` is gone, too
  int ranks_per_host_;
  std::shared_ptr<Tally> tally_;
};

}  // namespace swarmsync
