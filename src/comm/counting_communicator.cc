#include "swarmsync/comm/counting_communicator.h"

namespace swarmsync {

void CountingCommunicator::AllReduce(const at::Tensor& in, const std::vector<double>& factors,
                                     const at::Tensor& out) {
  ++traffic_.all_reduces;
  traffic_.bytes_all_ranks += 2 * (size() - 1) * static_cast<std::int64_t>(in.nbytes());
  inner_.AllReduce(in, factors, out);
}

void CountingCommunicator::Broadcast(const at::Tensor& inout, int root) {
  ++traffic_.broadcasts;
  traffic_.bytes_all_ranks += (size() - 1) * static_cast<std::int64_t>(inout.nbytes());
  inner_.Broadcast(inout, root);
}

void CountingCommunicator::AllGatherBytes(const void* mine, std::size_t bytes, void* all) {
  ++traffic_.all_gathers;
  traffic_.bytes_all_ranks += FromEachToEach(bytes);
  inner_.AllGatherBytes(mine, bytes, all);
}

void CountingCommunicator::AllToAllBytes(const void* mine, std::size_t bytes, void* all) {
  ++traffic_.all_to_alls;
  traffic_.bytes_all_ranks += FromEachToEach(bytes);
  inner_.AllToAllBytes(mine, bytes, all);
}

std::int64_t CountingCommunicator::FromEachToEach(std::size_t bytes) const {
  return static_cast<std::int64_t>(size()) * (size() - 1) * static_cast<std::int64_t>(bytes);
}

}  // namespace swarmsync
