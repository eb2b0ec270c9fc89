#include "swarmsync/comm/counting_communicator.h"

namespace swarmsync {

void CountingCommunicator::AllReduceSum(const at::Tensor& inout) {
  ++traffic_.all_reduces;
  traffic_.bytes_all_ranks += 2 * (size() - 1) * static_cast<std::int64_t>(inout.nbytes());
  inner_.AllReduceSum(inout);
}

void CountingCommunicator::Broadcast(const at::Tensor& inout, int root) {
  ++traffic_.broadcasts;
  traffic_.bytes_all_ranks += (size() - 1) * static_cast<std::int64_t>(inout.nbytes());
  inner_.Broadcast(inout, root);
}

void CountingCommunicator::AllGatherBytes(const void* mine, std::size_t bytes, void* all) {
  ++traffic_.all_gathers;
  traffic_.bytes_all_ranks +=
      static_cast<std::int64_t>(size()) * (size() - 1) * static_cast<std::int64_t>(bytes);
  inner_.AllGatherBytes(mine, bytes, all);
}

}  // namespace swarmsync
