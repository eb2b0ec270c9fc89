#include "model/torchscript.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "support/child_process.h"
#include "support/errors.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/params/flat_params.h"
#include "swarmsync/params/safetensors.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using testing::ChildProcess;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MessageOf;

constexpr const char* kScript = SWARMSYNC_SOURCE_DIR "/tests/model/torch_script.py";
const ModelInput kInput{1, 28, 28, 10};

class TorchScriptTest : public ::testing::Test {
 protected:
  TorchScriptTest() { torch::manual_seed(1); }
  // A module of that kind, written by Python.
  std::string Make(const std::string& kind) const {
    const std::string path = (directory_.path() / (kind + ".pt")).string();
    ChildProcess maker({SWARMSYNC_PYTHON, kScript, "make", kind, path});
    EXPECT_EQ(maker.Wait(), 0);
    return path;
  }
  nlohmann::json RunInPython(const std::string& path) const {
    ChildProcess runner({SWARMSYNC_PYTHON, kScript, "run", path});
    const std::string output = runner.ReadAll();
    EXPECT_EQ(runner.Wait(), 0);
    return nlohmann::json::parse(output);
  }

  const PrivateDirectory directory_;
};

at::Tensor LogitsOfOnes(ImageClassifier& model) {
  torch::NoGradGuard no_grad;
  model.eval();
  return model.forward(at::ones({2, 1, 28, 28}));
}

void ExpectLogits(const nlohmann::json& found, const at::Tensor& logits) {
  const auto values = found.at("logits").get<std::vector<float>>();
  EXPECT_TRUE(torch::tensor(values).allclose(logits.flatten(), 1e-4, 1e-5));
}

TEST_F(TorchScriptTest, TrainsAndGoesBackToPython) {
  const std::string path = Make("good");
  const auto model = LoadTorchScript(path, kInput);
  EXPECT_TRUE(model->is_training());
  std::vector<std::string> names, buffers;
  for (const auto& item : model->named_parameters()) names.push_back(item.key());
  for (const auto& item : model->named_buffers()) buffers.push_back(item.key());
  EXPECT_THAT(names, ElementsAre("features.0.weight", "features.0.bias", "features.1.weight",
                                 "features.1.bias", "head.weight", "head.bias"));
  EXPECT_EQ(model->named_buffers()["features.1.num_batches_tracked"].item<std::int64_t>(), 0)
      << "looked at only";
  EXPECT_THAT(buffers, ElementsAre("features.1.running_mean", "features.1.running_var",
                                   "features.1.num_batches_tracked"));
  ExpectLogits(RunInPython(path), LogitsOfOnes(*model));

  FlatParams params(*model);
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.2));
  model->train();
  const at::Tensor images = at::rand({8, 1, 28, 28}), labels = torch::arange(8);
  std::vector<double> losses;  // noisy: dropout draws anew at each step
  for (int step = 0; step < 20; ++step) {
    params.ZeroGrad();
    const at::Tensor loss = at::cross_entropy_loss(model->forward(images), labels);
    loss.backward();
    optimizer.step();
    losses.push_back(loss.item<double>());
  }
  const auto mean_of_five = [](auto begin) { return std::accumulate(begin, begin + 5, 0.0) / 5; };
  EXPECT_LT(mean_of_five(losses.end() - 5), mean_of_five(losses.begin()) - 0.3);

  // Into a file, and read by Python: the same function, with the statistics of the training.
  const std::string saved = (directory_.path() / "trained.pt").string();
  model->SaveScript(saved);
  const auto found = RunInPython(saved);
  ExpectLogits(found, LogitsOfOnes(*model));
  EXPECT_EQ(found.at("names").get<std::vector<std::string>>(), names);
  EXPECT_EQ(found.at("batches"), 20);

  // The weights alone go through a safetensors file into a fresh module.
  const auto weights = directory_.path() / "weights.safetensors";
  SaveSafetensors(weights, {StateOf(*model), {}});
  const auto fresh = LoadTorchScript(path, kInput);
  CopyInto(*fresh, LoadSafetensors(weights), weights);
  EXPECT_TRUE(LogitsOfOnes(*fresh).equal(LogitsOfOnes(*model)));
}

TEST_F(TorchScriptTest, TheModeReachesTheScript) {
  const auto model = LoadTorchScript(Make("good"), kInput);
  const at::Tensor images = at::rand({4, 1, 28, 28});
  EXPECT_FALSE(model->forward(images).equal(model->forward(images))) << "dropout draws";
  model->eval();
  EXPECT_TRUE(model->forward(images).equal(model->forward(images)));
  model->train();
  EXPECT_FALSE(model->forward(images).equal(model->forward(images)));
}

TEST_F(TorchScriptTest, RefusesWhatCannotBeTrained) {
  const auto message = [&](const std::string& path, const ModelInput& input = kInput) {
    return MessageOf<DataError>([&] { LoadTorchScript(path, input); });
  };
  EXPECT_THAT(message("/nowhere/net.pt"), AllOf(HasSubstr("/nowhere/net.pt"), HasSubstr("torch.jit.save")));
  const std::string junk = (directory_.path() / "junk.pt").string();
  std::ofstream(junk) << "no archive";
  EXPECT_THAT(message(junk), AllOf(HasSubstr("junk.pt"), HasSubstr("no TorchScript file")));
  EXPECT_THAT(message(Make("frozen")), AllOf(HasSubstr("frozen.pt"), HasSubstr("no parameters")));
  EXPECT_THAT(message(Make("outputs")),
              AllOf(HasSubstr("[2, 7]"), HasSubstr("10 classes"), HasSubstr("[2, 10]")));
  EXPECT_THAT(message(Make("tied")), AllOf(HasSubstr("one tensor"), HasSubstr("second.weight")));
  EXPECT_THAT(message(Make("assigns")), AllOf(HasSubstr("'average'"), HasSubstr("copy_")));
  EXPECT_THAT(message(Make("good"), {3, 32, 32, 10}), AllOf(HasSubstr("good.pt"), HasSubstr("3x32x32")));
}

TEST(TorchScriptName, IsAModelOfTheRegistry) {
  const ModelRegistry models = ModelRegistry::WithBuiltIn();
  EXPECT_THAT(MessageOf<DataError>([&] { models.Make("torchscript:/nowhere/net.pt", {}); }),
              HasSubstr("net.pt"));
  EXPECT_THAT(MessageOf<UsageError>([&] { models.Make("torchscript:", {}); }), HasSubstr("torchscript:FILE"));
}

}  // namespace
}  // namespace swarmsync
