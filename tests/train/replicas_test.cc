#include "train/replicas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "support/errors.h"
#include "support/ranks.h"
#include "swarmsync/base/error.h"
#include "sync/worker.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::MessageOf;
using Pieces = std::vector<StateDigest::Piece>;

TEST(Replicas, TheOddOneOutIsNamed) {
  EXPECT_EQ(DescribeMismatch({}), "");
  EXPECT_EQ(DescribeMismatch({{{"a", 1}, {"b", 2}}, {{"a", 1}, {"b", 2}}}), "");
  EXPECT_EQ(DescribeMismatch({{{"a", 1}, {"b", 2}}, {{"a", 1}, {"b", 3}}, {{"a", 1}, {"b", 2}}}),
            "'b' of worker 1 differs from that of worker 0, 2 (CRC-32 00000002)");
  EXPECT_EQ(DescribeMismatch({{{"a", 5}}, {{"a", 1}}, {{"a", 1}}, {{"a", 4}}}),
            "'a' of worker 0, 3 differs from that of worker 1, 2 (CRC-32 00000001)");
  EXPECT_EQ(DescribeMismatch({{{"a", 9}}, {{"a", 1}}}),
            "'a' of worker 1 differs from that of worker 0 (CRC-32 00000009)")
      << "with two, the lower rank is taken for right";
  EXPECT_EQ(DescribeMismatch({{{"a", 1}, {"b", 2}}, {{"a", 1}}, {{"a", 1}, {"b", 2}}}),
            "'b' of worker 1 differs from that of worker 0, 2 (CRC-32 00000002)");
}

// A number of one worker's center flips, as in broken memory.
class Flipper final : public StateVisitor {
  void OnTensor(const std::string& name, Held, at::Tensor& tensor, const Accepts&) override {
    torch::NoGradGuard no_grad;
    if (name == "sync.easgd.center") tensor[0] += 1e-6;
  }
};

TEST(Replicas, OneThatChangesIsFoundByAll) {
  testing::RunRanks(3, [](Communicator& comm) {
    testing::Faller faller(1);
    SyncOptions options;
    options.period = 1;
    const auto sync = MakeSynchronizer("easgd", faller.params(), comm, options);
    for (int step = 0; step < 3; ++step) faller.Step(*sync);
    CompareReplicas(*sync, comm);
    Flipper flipper;
    if (comm.rank() == 1) sync->VisitState(flipper);
    EXPECT_THAT(
        MessageOf<RunError>([&] { CompareReplicas(*sync, comm); }),
        AllOf(HasSubstr("at step 3"), HasSubstr("'sync.easgd.center' of worker 1"), HasSubstr("--resume")));
  });
}

}  // namespace
}  // namespace swarmsync
