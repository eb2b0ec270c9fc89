#include "train/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "support/errors.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::MessageOf;

DevicePlace Threads(int workers, int gpus) { return {Backend::kThreads, workers, gpus}; }
DevicePlace Processes(int workers, int gpus) { return {Backend::kProcesses, workers, gpus}; }

TEST(ResolveDevice, AutoTakesAGpuWhereAllWorkersCanHaveOne) {
  EXPECT_EQ(ResolveDevice("auto", Threads(4, 0)), "cpu");
  EXPECT_EQ(ResolveDevice("auto", Threads(4, 1)), "cuda");
  EXPECT_EQ(ResolveDevice("auto", Processes(1, 0)), "cpu");
  EXPECT_EQ(ResolveDevice("auto", Processes(4, 3)), "cpu");
  EXPECT_EQ(ResolveDevice("auto", Processes(4, 4)), "cuda");
  EXPECT_EQ(ResolveDevice("auto", Processes(1, 8)), "cuda");
}

TEST(ResolveDevice, LeavesWhatWasAskedFor) {
  for (const char* device : {"cpu", "cuda", "cuda:3"}) {
    EXPECT_EQ(ResolveDevice(device, Threads(4, 0)), device);
    EXPECT_EQ(ResolveDevice(device, Processes(1, 8)), device);
  }
}

TEST(DeviceOfWorker, IsSharedByThreadsAndNotByProcesses) {
  const at::Device cpu(at::kCPU), first(at::kCUDA, 0), third(at::kCUDA, 2);
  EXPECT_EQ(DeviceOfWorker("cpu", Processes(4, 0), 3), cpu);
  EXPECT_EQ(DeviceOfWorker("cuda", Threads(4, 1), 3), first);
  EXPECT_EQ(DeviceOfWorker("cuda:2", Threads(4, 3), 1), third);
  EXPECT_EQ(DeviceOfWorker("cuda", Processes(4, 4), 2), third);
  EXPECT_EQ(DeviceOfWorker("cuda:2", Processes(1, 4), 0), third);
}

TEST(DeviceOfWorker, SaysWhichGpuIsNotThere) {
  const auto message = [](const char* device, const DevicePlace& place, int local_rank = 0) {
    return MessageOf<UsageError>([&] { DeviceOfWorker(device, place, local_rank); });
  };
  EXPECT_THAT(message("cuda", Threads(4, 0)), AllOf(HasSubstr("no GPU"), HasSubstr("give auto or cpu")));
  EXPECT_THAT(message("cuda:1", Threads(4, 1)),
              AllOf(HasSubstr("cuda:1"), HasSubstr("the last GPU here is cuda:0")));
  EXPECT_THAT(message("cuda:0", Processes(2, 4)),
              AllOf(HasSubstr("each of 2 workers"), HasSubstr("--backend threads")));
  EXPECT_THAT(message("cuda", Processes(3, 2)),
              AllOf(HasSubstr("each of 3 workers"), HasSubstr("there are 2")));
  EXPECT_THAT(message("cuda", Processes(1, 1), 1),
              AllOf(HasSubstr("each of 2 workers"), HasSubstr("there is 1")));
}

TEST(ResolveDevice, ProcessesNeedNcclForMoreThanOneGpu) {
  DevicePlace place = Processes(4, 4);
  place.nccl = false;
  EXPECT_EQ(ResolveDevice("auto", place), "cpu");
  EXPECT_THAT(MessageOf<UsageError>([&] { DeviceOfWorker("cuda", place, 0); }),
              AllOf(HasSubstr("without NCCL"), HasSubstr("--backend threads")));
  place.workers_here = 1;
  EXPECT_EQ(ResolveDevice("auto", place), "cuda");
  EXPECT_EQ(DeviceOfWorker("cuda", place, 0), at::Device(at::kCUDA, 0));
}

TEST(GpuOfRank, IsTheOneAskedForOrItsOwnOrTheOnlyOne) {
  EXPECT_EQ(GpuOfRank("cpu", 0, 4), std::nullopt);
  EXPECT_EQ(GpuOfRank("auto", 2, 4), 2);
  EXPECT_EQ(GpuOfRank("cuda", 2, 4), 2);
  EXPECT_EQ(GpuOfRank("cuda:3", 0, 4), 3);
  EXPECT_EQ(GpuOfRank("cuda", 5, 1), 0) << "the launcher shows each rank its own GPU";
  EXPECT_EQ(GpuOfRank("cuda", 2, 2), std::nullopt);
  EXPECT_EQ(GpuOfRank("auto", 0, 0), std::nullopt);
}

TEST(WhyNotOnGpus, TellsWhoHasNoneAndWhoSharesOne) {
  EXPECT_EQ(WhyNotOnGpus({"a", "b", "c"}), "");
  EXPECT_EQ(WhyNotOnGpus({"a", "", "a"}), "rank 1 sees no GPU that would be its own");
  EXPECT_EQ(WhyNotOnGpus({"a", "b", "b"}), "ranks 1 and 2 would have the same GPU");
}

TEST(DeviceScope, OnTheCpuDoesNothing) {
  const DeviceScope scope(at::kCPU);
  const at::Tensor x = torch::ones({2}, torch::requires_grad());
  (x * x).sum().backward();
  EXPECT_TRUE(x.grad().eq(2).all().item<bool>());
}

TEST(ExplainOutOfMemory, NamesWhatWasNeededAndWhatToLower) {
  const auto explain = [](const std::string& what) {
    return MessageOf<RunError>([&] {
      ExplainOutOfMemory([&] { throw c10::OutOfMemoryError({__func__, __FILE__, __LINE__}, what); });
    });
  };
  EXPECT_EQ(
      explain("CUDA out of memory. Tried to allocate 20.50 GiB. GPU 0 has a total capacity of 139.80 "
              "GiB of which "
              "1.25 GiB is free. Including non-PyTorch memory, this process has 3 GiB in use. Of the"),
      "the GPU's memory is full. Tried to allocate 20.50 GiB. GPU 0 has a total capacity of 139.80 GiB "
      "of which "
      "1.25 GiB is free. Lower --batch-size or --workers, raise --accumulate, or give --cuda-graph off");
  EXPECT_EQ(explain("something else"),
            "the GPU's memory is full. Lower --batch-size or --workers, raise --accumulate, or give "
            "--cuda-graph off");
  EXPECT_EQ(MessageOf<CommError>([] { ExplainOutOfMemory([] { throw CommError("as it was"); }); }),
            "as it was");
}

}  // namespace
}  // namespace swarmsync
