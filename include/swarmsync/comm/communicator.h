#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
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

  virtual int rank() const = 0;
  virtual int size() const = 0;

  // inout, a contiguous tensor of the same shape on all ranks, becomes the sum over the ranks.
  virtual void AllReduceSum(const at::Tensor& inout) = 0;

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
};

}  // namespace swarmsync
