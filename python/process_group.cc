#include "process_group.h"

#include "comm/c10d_communicator.h"
#include "comm/through_host.h"

namespace swarmsync {
namespace {

class ProcessGroupCommunicator final : public C10dCommunicator<c10d::ProcessGroup> {
 public:
  using C10dCommunicator::C10dCommunicator;

  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override {
    AllReduceThroughHost(in, out, [&](const at::Tensor& from, const at::Tensor& to) {
      C10dCommunicator::AllReduce(from, factors, to);
    });
  }
  void Broadcast(const at::Tensor& inout, int root) override {
    BroadcastThroughHost(inout, [&](const at::Tensor& here) { C10dCommunicator::Broadcast(here, root); });
  }
  std::unique_ptr<Communicator> Split(int, double) override {
    throw UsageError("a process group of torch.distributed cannot be split; leave group_size at 1");
  }
};

}  // namespace

std::unique_ptr<Communicator> OverProcessGroup(c10::intrusive_ptr<c10d::ProcessGroup> group,
                                               std::chrono::milliseconds timeout) {
  return std::make_unique<ProcessGroupCommunicator>(std::move(group), timeout);
}

}  // namespace swarmsync
