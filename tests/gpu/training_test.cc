// Trainings on a GPU: the parts, the library, the tool.

#include <nlohmann/json.hpp>

#include "cli/tool.h"
#include "data/idx_fixture.h"
#include "gpu/gpu.h"
#include "support/errors.h"
#include "support/ranks.h"
#include "swarmsync/base/error.h"
#include "swarmsync/model/registry.h"
#include "swarmsync/params/flat_params.h"
#include "swarmsync/params/safetensors.h"
#include "swarmsync/sync/synchronizer.h"
#include "sync/worker.h"
#include "train/autocast.h"
#include "train/device.h"
#include "train/device_batches.h"
#include "train/step_graph.h"

namespace swarmsync {
namespace {

using testing::Arguments;
using testing::ExpectOneLine;
using testing::GpuTest;
using testing::kGpu;
using testing::ReadJson;
using testing::RunTool;
using testing::operator+;

const testing::Variables kWithGpu{{"CUDA_VISIBLE_DEVICES", "0"}};

// The weights that rank 0 ends with after a few rounds.
at::Tensor TrainSmallNet(const std::string& synchronizer, const at::Device& device) {
  constexpr int kWorkers = 3, kSteps = 12;
  const testing::Batches batches(kSteps, kWorkers, 4);
  const auto weights = testing::FromRanks(kWorkers, [&](Communicator& comm) {
    const DeviceScope scope(device);
    testing::SmallNet net;
    net.to(device);
    FlatParams params(net);
    torch::optim::SGD optimizer(net.parameters(), torch::optim::SGDOptions(0.1).momentum(0.5));
    SyncOptions options;
    options.period = 3;
    options.total_steps = kSteps;
    options.clip_grad_norm = 0.5;
    options.momentum_at_sync = MomentumAtSync::kAverage;
    const auto sync = MakeSynchronizer(synchronizer, params, comm, options);
    for (int step = 0; step < kSteps; ++step) {
      params.ZeroGrad();
      const at::Tensor loss = batches.Loss(net, step, comm.rank(), device);
      loss.backward();
      sync->Step(optimizer, loss);
    }
    return params.weights().cpu();
  });
  return weights[0];
}

TEST_F(GpuTest, EverySynchronizerTrainsAsOnTheCpu) {
  for (const std::string& name : SynchronizerNames()) {
    const at::Tensor expected = TrainSmallNet(name, at::kCPU), there = TrainSmallNet(name, kGpu);
    EXPECT_TRUE(there.allclose(expected, 1e-3, 1e-4)) << name << ": " << (there - expected).abs().max();
  }
}

TEST_F(GpuTest, BatchesArriveWhole) {
  const ImageShape shape{3, 5, 4};
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    DeviceBatches batches(2, 6, shape, kGpu, format);
    const void* address = nullptr;
    for (int step = 0; step < 50; ++step) {
      const auto place = static_cast<std::size_t>(step % 2);
      const BatchMemory host = batches.host(place);
      std::fill_n(host.images, 6 * shape.num_pixels(), static_cast<float>(step));
      std::fill_n(host.labels, 6, step);
      const std::int64_t count = step % 3 == 0 ? 4 : 6;
      const DeviceBatches::Batch batch = batches.Bring(place, count);
      batches.WaitForCopies();
      std::fill_n(host.images, 6 * shape.num_pixels(), -1.0f);  // too late to matter
      EXPECT_EQ(batch.images.sizes(), (std::vector<std::int64_t>{count, 3, 5, 4}));
      EXPECT_TRUE(batch.images.is_contiguous(format));
      EXPECT_TRUE(batch.images.eq(step).all().item<bool>());
      EXPECT_TRUE(batch.labels.eq(step).all().item<bool>());
      if (step > 0) {
        EXPECT_EQ(batch.images.data_ptr(), address);
      }
      address = batch.images.data_ptr();
    }
  }
}

// A ResNet's steps, as they are or from a recording.
std::vector<double> LossesOfResNet(bool graph, Amp amp) {
  const DeviceScope scope(kGpu);
  torch::manual_seed(1);
  const auto model = ModelRegistry::WithBuiltIn().Make("resnet8", {3, 32, 32, 10});
  model->to(kGpu);
  FlatParams params(*model);
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.05).momentum(0.9));
  const at::Tensor images = torch::randn({16, 3, 32, 32}, kGpu), labels = at::arange(16, kGpu).remainder(10);
  const at::Tensor other_images = torch::randn({16, 3, 32, 32}, kGpu);
  const std::function<at::Tensor()> step = [&] {
    params.ZeroGrad();
    at::Tensor loss;
    {
      const Autocast autocast(amp, at::kCUDA);
      loss = at::cross_entropy_loss(model->forward(images).to(at::kFloat), labels);
    }
    loss.backward();
    return loss;
  };
  StepGraph recorded(step);
  std::vector<double> losses;
  for (int i = 0; i < 12; ++i) {
    if (i == 8) images.copy_(other_images);  // what a recording reads may change
    losses.push_back((graph ? recorded.Run() : step()).item<double>());
    optimizer.step();
  }
  return losses;
}

TEST_F(GpuTest, ARecordedStepIsTheStep) {
  for (const Amp amp : {Amp::kNone, Amp::kBf16}) {
    const std::vector<double> expected = LossesOfResNet(false, amp), recorded = LossesOfResNet(true, amp);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(recorded[i], expected[i], amp == Amp::kNone ? 0.02 : 0.1)
          << ToString(amp) << ", step " << i;
    }
    EXPECT_LT(expected[7], expected[0]);
  }
}

TEST_F(GpuTest, WhatCannotBeRecordedSaysSo) {
  const DeviceScope scope(kGpu);
  const at::Tensor x = at::ones({4}, kGpu);
  StepGraph waits([&] { return at::full({}, x.sum().item<double>(), kGpu); });
  EXPECT_THAT(testing::MessageOf<RunError>([&] {
                for (int i = 0; i < 10; ++i) waits.Run();
              }),
              ::testing::AllOf(::testing::HasSubstr("CUDA graph"), ::testing::HasSubstr("--cuda-graph off")));
  EXPECT_EQ(at::ones({3}, kGpu).sum().item<double>(), 3);  // the stream can be used again
}

class GpuTool : public GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    if (IsSkipped()) return;
    IdxFixtureOptions options;
    options.train = 2000;
    options.test = 500;
    WriteIdxDataset(data(), options);
  }

  std::filesystem::path data() const { return directory_.path() / "data"; }
  std::filesystem::path out() const { return directory_.path() / "run"; }

  Arguments Train(const Arguments& more) const {
    return Arguments{"train",
                     "--dataset=idx:" + data().string(),
                     "--out=" + out().string(),
                     "--overwrite",
                     "--progress=none",
                     "--workers=3",
                     "--epochs=3",
                     "--batch-size=20",
                     "--period=5",
                     "--lr=0.05"} +
           more;
  }

  PrivateDirectory directory_;
};

TEST_F(GpuTool, TrainsOnOneGpuWithThreads) {
  for (const Arguments& more :
       {Arguments{"--sync=pso-ps"}, Arguments{"--sync=informed-pso-ps", "--model=resnet8", "--amp=bf16"},
        Arguments{"--sync=ssgd", "--cuda-graph=off"},
        Arguments{"--sync=average", "--accumulate=2", "--guard"},
        Arguments{"--sync=average", "--model=resnet8", "--recalibrate=3", "--memory-format=channels-last"}}) {
    const testing::ToolResult result = RunTool(Train(more) + Arguments{"--backend=threads"}, kWithGpu);
    ASSERT_EQ(result.exit_code, 0) << more[0] << result.err;
    EXPECT_THAT(result.out, ::testing::HasSubstr("on cuda"));
    for (const auto& worker : ReadJson(out() / "workers.json")) EXPECT_EQ(worker.at("device"), "cuda:0");
    const auto summary = ReadJson(out() / "summary.json");
    EXPECT_GT(summary.at("test_accuracy"), 0.8) << more[0];
    // The saved model is the same on the CPU.
    const testing::ToolResult evaluated =
        RunTool({"evaluate", "--weights", (out() / "model.safetensors").string(), "--json"});
    ASSERT_EQ(evaluated.exit_code, 0) << evaluated.err;
    EXPECT_NEAR(nlohmann::json::parse(evaluated.out).at("test_accuracy").get<double>(),
                summary.at("test_accuracy").get<double>(), 0.01);
  }
}

// The final weights, one after another.
at::Tensor WeightsOf(const std::filesystem::path& file) {
  std::vector<at::Tensor> flat;
  for (const auto& [name, tensor] : LoadSafetensors(file).tensors) flat.push_back(tensor.flatten());
  return at::cat(flat);
}

TEST_F(GpuTool, PartsAndRecordingsChangeNothing) {
  const auto train = [&](const Arguments& more) {
    const testing::ToolResult result =
        RunTool(Train({"--model=mlp", "--sync=average", "--backend=threads"}) + more, kWithGpu);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return WeightsOf(out() / "model.safetensors");
  };
  const at::Tensor expected = train({"--cuda-graph=off"});
  EXPECT_TRUE(train({"--cuda-graph=on"}).allclose(expected, 1e-2, 1e-3));
  EXPECT_TRUE(train({"--cuda-graph=on", "--accumulate=2"}).allclose(expected, 1e-2, 1e-3));
  EXPECT_TRUE(train({"--device=cpu"}).allclose(expected, 1e-2, 1e-3));
}

TEST_F(GpuTool, TakesTheGpuByItselfForOneProcess) {
  const testing::ToolResult result = RunTool(Train({"--workers=1"}), kWithGpu);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(ReadJson(out() / "workers.json")[0].at("device"), "cuda:0");
}

TEST_F(GpuTool, TakesTheCpuWhereProcessesAreMoreThanGpus) {
  const testing::ToolResult result = RunTool(Train({"--workers=2"}), kWithGpu);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, ::testing::HasSubstr("--backend threads"));
  EXPECT_EQ(ReadJson(out() / "workers.json")[1].at("device"), "cpu");
}

TEST_F(GpuTool, RefusesGpusThatAreNotThere) {
  ExpectOneLine(RunTool(Train({"--device=cuda:7", "--backend=threads"}), kWithGpu), 2,
                {"--device is cuda:7", "the last GPU here is cuda:0"});
  ExpectOneLine(RunTool(Train({"--device=cuda"}), kWithGpu), 2,
                {"--device is cuda", "a GPU for each of 3 workers", "there is 1", "--backend threads"});
  ExpectOneLine(RunTool(Train({"--device=cuda:0"}), kWithGpu), 2,
                {"--device is cuda:0", "--backend threads"});
  EXPECT_FALSE(std::filesystem::exists(out()));
}

TEST_F(GpuTool, SaysWhatWasNeededWhenMemoryIsFull) {
  IdxFixtureOptions options;
  options.train = 60'000;
  options.test = 10;
  WriteIdxDataset(data(), options);
  ExpectOneLine(
      RunTool(Train({"--model=resnet18", "--batch-size=20000", "--backend=threads", "--epochs=1"}), kWithGpu),
      1, {"memory is full", "Tried to allocate", "GiB", "Lower --batch-size"});
}

}  // namespace
}  // namespace swarmsync
