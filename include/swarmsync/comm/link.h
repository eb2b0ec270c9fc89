#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "swarmsync/comm/communicator.h"

namespace swarmsync {

// A worker's connection to a switch that itself costs nothing: so many bits a second in each direction at
// once, and the time that a message takes from one worker to another beside that of its bits.
//
// What a collective of N ranks takes on it, by the algorithms of comm/gloo.h. bytes: of the tensor, or from
// each rank to each.
//   all-reduce, all to all and back:            2 (latency + (N-1) bytes / N / rate)
//   broadcast, N messages below a megabyte:     latency + (N-1) bytes / rate
//              of K >= N-1 pieces, a chain:     (N-1) latency + (K + N - 2) bytes / K / rate
//              else a tree:                     ceil(log2 N) (latency + bytes / rate)
//   all-gather, all-to-all:                     latency + (N-1) bytes / rate
struct Link {
  double bits_per_second = 0;  // 0: no link is emulated
  double latency_seconds = 0;  // of each message, beside the time of its bits

  // Whether there is a link to emulate.
  bool emulated() const { return bits_per_second > 0; }

  // Seconds that an all-reduce of a tensor of so many bytes takes; 0 for one rank. For a link that is
  // emulated.
  double AllReduceSeconds(int ranks, std::size_t bytes) const;
  // The same for a broadcast.
  double BroadcastSeconds(int ranks, std::size_t bytes) const;
  // The same for an all-gather or an all-to-all of so many bytes from each rank to each.
  double AllToAllSeconds(int ranks, std::size_t bytes) const;

 private:
  double Transfer(std::size_t bytes) const;
};

// "none", "RATE" or "RATE,LATENCY", in tc's units: "100mbit,20ms", "1.5gbit". Rates in kbit, mbit, gbit;
// latencies in us, ms, s. Throws UsageError, also for a rate that is not from 1 to 10^15 bit/s and for a
// latency above an hour.
Link ParseLink(std::string_view text);
// As text, for ParseLink().
std::string ToString(const Link& link);

// Passes every call on and, where a link is emulated, lets it last at least as long as it would on the link.
// The ranks then first wait for the last one, in a small all-gather of `inner`, as they would in the
// collective itself; from then on the time counts. Borrows `inner`. Same threads and failures as `inner`.
class LinkedCommunicator : public Communicator {
 public:
  // ranks_per_host: every so many ranks, from 0 on, are on one host. A group within a host has no link.
  LinkedCommunicator(Communicator& inner, const Link& link, int ranks_per_host = 1)
      : inner_(inner),
        rank_(inner.rank()),
        size_(inner.size()),
        link_(inner.size() > ranks_per_host ? link : Link()),
        ranks_per_host_(ranks_per_host) {}

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override;
  void Broadcast(const at::Tensor& inout, int root) override;
  void AllGatherBytes(const void* mine, std::size_t bytes, void* all) override;
  void AllToAllBytes(const void* mine, std::size_t bytes, void* all) override;
  std::unique_ptr<Communicator> Split(int color, double patience) override;

 private:
  // seconds(): of the collective on the link.
  template <class Seconds, class Collective>
  void Last(Seconds&& seconds, Collective&& collective);

  std::unique_ptr<Communicator> owned_;  // of a group that was split off
  Communicator& inner_;
  int rank_, size_;  // known when `inner` is gone, too
  Link link_;
  int ranks_per_host_;
};

}  // namespace swarmsync
