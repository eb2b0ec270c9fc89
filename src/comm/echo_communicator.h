#pragma once

#include <algorithm>
#include <cstdint>

#include "swarmsync/comm/communicator.h"

namespace swarmsync {

// One rank of a world that has no others: what the others would bring is what this one brings. For finding
// out what a rank takes of memory, and sends by the count of a CountingCommunicator, however large the world
// is. What a root would have sent is not known: weights become 0, bytes become numbers of 1.0.
class EchoCommunicator : public Communicator {
 public:
  // group_size: of the groups that it may be split into, by the number of a rank's group; any other color is
  // that of one rank from each group (comm/host_groups.h).
  EchoCommunicator(int rank, int size, int group_size);

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override;
  void Broadcast(const at::Tensor& inout, int root) override;
  void AllGatherBytes(const void* mine, std::size_t bytes, void* all) override;
  void AllToAllBytes(const void* mine, std::size_t bytes, void* all) override;
  std::unique_ptr<Communicator> Split(int color, double patience) override;

  // The bytes of the largest sum, those of parts that were split off among them.
  std::int64_t largest_sum() const { return *largest_sum_; }

 private:
  int rank_, size_, group_size_;
  std::shared_ptr<std::int64_t> largest_sum_ = std::make_shared<std::int64_t>(0);
};

}  // namespace swarmsync
