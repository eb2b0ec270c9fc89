#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace swarmsync {

// How the workers of one training talk: a fixed group of `size` ranks that make the same calls in the same
// order.
//
// Every function but rank() and size() is collective, and every wait in one has a deadline. A collective that
// fails throws CommError on every rank that is still alive, sooner or later; the tensor it worked on is then
// undefined, and so is the group: drop it. A communicator belongs to one thread at a time.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;  // this one's, 0 to size() - 1
  virtual int size() const = 0;  // how many ranks there are, at least 1

  // out <- sum_r factors[r] in_r, added up in the order of the ranks (but for GPUs between processes); where
  // a factor is 0 the rank counts for nothing, whatever it has. in, out: contiguous, of the same shape on all
  // ranks; they may be the same tensor. factors: [size], the same on all ranks; empty: all 1.
  virtual void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) = 0;

  // inout becomes the sum over the ranks.
  void AllReduceSum(const at::Tensor& inout) { AllReduce(inout, {}, inout); }

  // inout, contiguous and of the same shape on all ranks, becomes what it is on rank `root`.
  virtual void Broadcast(const at::Tensor& inout, int root) = 0;

  // One number from each rank. Result: [size], by rank.
  std::vector<double> AllGather(double value) { return AllGather(std::vector<double>{value}); }

  // As many numbers from each rank, one rank's after another's. Result: [size * values.size()].
  std::vector<double> AllGather(const std::vector<double>& values);

  // A text from each rank, of any length. Result: [size], by rank. Two collectives.
  std::vector<std::string> AllGather(const std::string& text);

  // Returns when all ranks have called it.
  void Barrier() { AllGather(0.0); }

  // The primitive under AllGather: `bytes` bytes from each rank, the same number on all, to `all`
  // (size * bytes), by rank.
  virtual void AllGatherBytes(const void* mine, std::size_t bytes, void* all) = 0;

  // Of `mine` (size * bytes) the r-th part goes to rank r; `all` (size * bytes) receives the parts for this
  // rank, by rank. The two do not overlap.
  virtual void AllToAllBytes(const void* mine, std::size_t bytes, void* all) = 0;

  // A group of its own for all ranks that give the same color, in the order of their ranks here; null where
  // the color is negative. It may be used beside this one, by another thread too, and may outlive it.
  // patience: its waits may last so many times as long as those here. A rank that is lost is noticed at once
  // in any case.
  virtual std::unique_ptr<Communicator> Split(int color, double patience) = 0;

 protected:
  // The ranks that give the same color, in their order. Collective: one all-gather.
  std::vector<int> RanksOfColor(int color);
  // A part of a group that was split, for communicators that pass calls on.
  struct Part {
    std::unique_ptr<Communicator> group;  // null where the color is negative
    bool on_one_host;                     // whether all ranks of the group are
  };
  // Split() of `whole`, of whose ranks every ranks_per_host, from 0 on, are on one host. Collective: an
  // all-gather beside Split().
  static Part SplitOff(Communicator& whole, int color, double patience, int ranks_per_host);
};

}  // namespace swarmsync
