#include "train/checkpointer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "swarmsync/base/file.h"
#include "swarmsync/comm/thread_world.h"

namespace swarmsync {
namespace {

// A worker whose part takes longer than the timeout holds the others up, and does not lose them.
TEST(Checkpointer, AWriteMayTakeLongerThanTheTimeout) {
  const PrivateDirectory place;
  const CheckpointDirectory directory(place.path() / "checkpoint");
  // Half a gigabyte is not written, and its checksum not taken, in 0.2 seconds.
  const at::Tensor large = at::ones({128 << 20});
  ThreadWorld world(2, std::chrono::milliseconds(200));
  world.Run([&](int rank) {
    const auto comm = world.Connect(rank);
    Checkpointer checkpoints(directory, *comm, {},
                             [](std::int64_t, const std::string& why) { FAIL() << why; });
    checkpoints.Save(1, 10, {{"state", rank == 0 ? large : at::ones({1})}});
    checkpoints.Finish();
  });
  ASSERT_EQ(directory.Complete().size(), 1u);
  EXPECT_EQ(directory.Complete()[0].round, 1);
}

}  // namespace
}  // namespace swarmsync
