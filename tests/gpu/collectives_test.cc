// Collectives on tensors in a GPU's memory.

#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "gpu/gpu.h"
#include "support/ranks.h"
#include "swarmsync/base/file.h"
#include "swarmsync/comm/gloo.h"
#include "swarmsync/comm/thread_world.h"
#include "train/device.h"

namespace swarmsync {
namespace {

using testing::GpuTest;
using testing::kGpu;

class GpuThreads : public GpuTest, public ::testing::WithParamInterface<int> {
 protected:
  int size() const { return GetParam(); }
};

INSTANTIATE_TEST_SUITE_P(Ranks, GpuThreads, ::testing::Values(1, 2, 3, 4, 8));

// A number in every element, after work that takes the stream some time: who reads too early reads something
// else.
at::Tensor Late(double number, std::int64_t size) {
  at::Tensor slow = at::ones({512, 512}, kGpu);
  for (int i = 0; i < 20; ++i) slow = at::tanh(at::mm(slow, slow));
  const at::Tensor value = at::full({size}, -1.0, at::device(kGpu).dtype(at::kFloat));
  return value.copy_(slow.flatten()[0].mul(0).add(number).expand({size}));
}

TEST_P(GpuThreads, HaveStreamsOfTheirOwn) {
  const auto ids = testing::FromRanks(size(), [](Communicator&) {
    const DeviceScope scope(kGpu);
    return c10::impl::VirtualGuardImpl(at::kCUDA).getStream(kGpu).id();
  });
  EXPECT_EQ(std::set<c10::StreamId>(ids.begin(), ids.end()).size(), ids.size());
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 0), 0);
}

TEST_P(GpuThreads, AllReduceSumsWhatTheStreamsWillHaveMade) {
  for (const std::int64_t length : {1, 7, 1009, 300'000}) {
    testing::RunRanks(size(), [&](Communicator& comm) {
      const DeviceScope scope(kGpu);
      for (int round = 0; round < 20; ++round) {
        const at::Tensor tensor = Late(comm.rank() + round, length);
        comm.AllReduceSum(tensor);
        const double expected = round * size() + size() * (size() - 1) / 2.0;
        const at::Tensor after = tensor.clone();
        tensor.fill_(-1);  // what comes after must not reach the others' shares
        EXPECT_TRUE(after.eq(expected).all().item<bool>()) << length << ", round " << round;
      }
    });
  }
}

TEST_P(GpuThreads, BroadcastCopiesWhatTheRootWillHaveMade) {
  testing::RunRanks(size(), [&](Communicator& comm) {
    const DeviceScope scope(kGpu);
    for (int round = 0; round < 40; ++round) {
      const int root = round % size();
      const at::Tensor tensor = comm.rank() == root ? Late(round, 100'003) : at::zeros({100'003}, kGpu);
      comm.Broadcast(tensor, root);
      const at::Tensor after = tensor.clone();
      tensor.fill_(-1);
      EXPECT_TRUE(after.eq(round).all().item<bool>()) << round;
    }
  });
}

TEST_F(GpuTest, NcclSumsAndBroadcastsInAWorldOfOne) {
  if (!NcclIsBuiltIn()) GTEST_SKIP() << "this build has no NCCL";
  const PrivateDirectory directory;
  GlooOptions options;
  options.rendezvous = FileRendezvous{directory.path() / "store"};
  const auto comm = ConnectGloo(options);
  const at::Tensor tensor = at::arange(1000, at::device(kGpu).dtype(at::kFloat));
  const at::Tensor before = tensor.clone();
  comm->AllReduceSum(tensor);
  comm->Broadcast(tensor, 0);
  EXPECT_TRUE(tensor.equal(before));
  EXPECT_EQ(comm->AllGather(3.0), std::vector<double>{3.0});
}

}  // namespace
}  // namespace swarmsync
