#include "swarmsync/train/model_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "support/child_process.h"
#include "support/errors.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/params/safetensors.h"
#include "swarmsync/params/state_dict.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using OrderedJson = nlohmann::ordered_json;
using testing::MessageOf;

Dataset SmallGrayData() {
  Dataset data;
  data.name = "idx:/data/ünusual \"place\"";
  data.shape = {1, 14, 13};
  data.num_classes = 3;
  data.normalization = {{0.25F}, {0.125F}};
  return data;
}

class ModelFile : public ::testing::Test {
 protected:
  ModelFile() {
    torch::manual_seed(1);
    model_ = models_.Make("lenet5", {1, 14, 13, 3});
    SaveModel(path(), *model_, "lenet5", SmallGrayData());
  }

  std::filesystem::path path() const { return directory_.path() / "model.safetensors"; }

  std::string Refusal() {
    const std::string message = MessageOf<DataError>([this] { LoadModel(path(), models_); });
    EXPECT_THAT(message, AllOf(HasSubstr(path().string()), ::testing::Not(HasSubstr("\n"))));
    return message;
  }

  // Writes the same tensors with a description that `change` has worked on.
  void Describe(const std::function<void(OrderedJson&)>& change) {
    OrderedJson json = OrderedJson::parse(original_.metadata.at("swarmsync"));
    change(json);
    WeightsFile file = original_;
    file.metadata["swarmsync"] = json.dump();
    SaveSafetensors(path(), file);
  }

  void SetUp() override { original_ = LoadSafetensors(path()); }

  ModelRegistry models_ = ModelRegistry::WithBuiltIn();
  std::shared_ptr<ImageClassifier> model_;
  WeightsFile original_;

 private:
  PrivateDirectory directory_;
};

TEST_F(ModelFile, ComesBackAsItWas) {
  torch::manual_seed(2);
  const SavedModel saved = LoadModel(path(), models_);
  EXPECT_EQ(saved.name, "lenet5");
  EXPECT_EQ(saved.dataset, SmallGrayData().name);
  EXPECT_EQ(saved.input.channels, 1);
  EXPECT_EQ(saved.input.height, 14);
  EXPECT_EQ(saved.input.width, 13);
  EXPECT_EQ(saved.input.classes, 3);
  EXPECT_EQ(saved.normalization.mean, std::vector<float>{0.25F});
  EXPECT_EQ(saved.normalization.stddev, std::vector<float>{0.125F});
  const NamedTensors before = StateOf(*model_), after = StateOf(*saved.model);
  ASSERT_EQ(before.size(), after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].first, after[i].first);
    EXPECT_TRUE(before[i].second.equal(after[i].second)) << before[i].first;
  }
  const at::Tensor images = at::rand({4, 1, 14, 13});
  EXPECT_TRUE(saved.model->forward(images).equal(model_->forward(images)));
}

TEST_F(ModelFile, TheSameModelGivesTheSameBytes) {
  const std::string bytes = ReadFile(path());
  SaveModel(path(), *model_, "lenet5", SmallGrayData());
  EXPECT_EQ(ReadFile(path()), bytes);
}

TEST_F(ModelFile, MissingFilesAreRefused) {
  std::filesystem::remove(path());
  EXPECT_THAT(Refusal(), HasSubstr("No such file"));
}

TEST_F(ModelFile, EveryTruncationIsRefused) {
  const std::string bytes = ReadFile(path());
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, std::size_t{8}, std::size_t{100},
                                 bytes.size() / 2, bytes.size() - 1}) {
    std::ofstream(path(), std::ios::binary | std::ios::trunc) << bytes.substr(0, size);
    Refusal();
  }
  std::ofstream(path(), std::ios::binary | std::ios::trunc) << bytes << 'x';
  Refusal();
}

TEST_F(ModelFile, ADamagedHeaderIsRefusedOrHarmless) {
  const std::string bytes = ReadFile(path());
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  int refused = 0;
  for (std::size_t i = 0; i < 8 + header; i += 3) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x15);
    std::ofstream(path(), std::ios::binary | std::ios::trunc) << damaged;
    try {
      LoadModel(path(), models_);  // a changed digit of the normalization cannot be noticed
    } catch (const DataError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, static_cast<int>(header) / 3 / 2);
}

TEST_F(ModelFile, AStateDictSaysAsMuch) {
  SaveStateDict(path(), original_);
  const SavedModel saved = LoadModel(path(), models_);
  EXPECT_EQ(saved.name, "lenet5");
  EXPECT_EQ(saved.normalization.stddev, std::vector<float>{0.125F});
  const at::Tensor images = at::rand({4, 1, 14, 13});
  EXPECT_TRUE(saved.model->forward(images).equal(model_->forward(images)));
}

TEST_F(ModelFile, AFileThatIsNotOursIsRefused) {
  WeightsFile file = original_;
  file.metadata.clear();
  SaveSafetensors(path(), file);
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("which model"), HasSubstr("swarmsync")));
}

TEST_F(ModelFile, ADescriptionThatMakesNoSenseIsRefused) {
  WeightsFile file = original_;
  for (const char* text : {"", "{", "[]", "7", "{}"}) {
    file.metadata["swarmsync"] = text;
    SaveSafetensors(path(), file);
    Refusal();
  }
  for (const char* key : {"model", "channels", "height", "width", "classes", "dataset", "mean", "stddev"}) {
    Describe([&](OrderedJson& json) { json.erase(key); });
    EXPECT_THAT(Refusal(), HasSubstr(key));
    Describe([&](OrderedJson& json) { json[key] = OrderedJson::object(); });
    Refusal();
  }
  for (const char* key : {"channels", "height", "width", "classes"}) {
    for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 40}) {
      Describe([&](OrderedJson& json) { json[key] = value; });
      EXPECT_THAT(Refusal(), HasSubstr(std::to_string(value)));
    }
  }
}

TEST_F(ModelFile, ANormalizationThatMakesNoSenseIsRefused) {
  for (const char* key : {"mean", "stddev"}) {
    for (const OrderedJson& value :
         {OrderedJson::array(), OrderedJson{0.5, 0.5}, OrderedJson{nullptr}, OrderedJson{"x"}}) {
      Describe([&](OrderedJson& json) { json[key] = value; });
      Refusal();
    }
  }
  for (const double stddev : {0.0, -0.5}) {
    Describe([&](OrderedJson& json) { json["stddev"] = {stddev}; });
    Refusal();
  }
}

TEST_F(ModelFile, AnUnknownArchitectureIsRefused) {
  Describe([](OrderedJson& json) { json["model"] = "lenet"; });
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("'lenet'"), HasSubstr("did you mean 'lenet5'?")));
}

TEST_F(ModelFile, TensorsOfAnotherModelAreRefused) {
  Describe([](OrderedJson& json) { json["model"] = "mlp"; });
  EXPECT_THAT(Refusal(), HasSubstr("another model"));
  Describe([](OrderedJson& json) { json["classes"] = 4; });
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("fc3"), HasSubstr("[3")));
  Describe([](OrderedJson& json) { json["height"] = 4; });
  EXPECT_THAT(Refusal(), HasSubstr("12x12"));
}

TEST_F(ModelFile, AnUnwritablePlaceIsARunError) {
  EXPECT_THAT(MessageOf<RunError>(
                  [this] { SaveModel("/proc/model.safetensors", *model_, "lenet5", SmallGrayData()); }),
              HasSubstr("/proc/model.safetensors"));
}

// Weights that went through a state dict, in PyTorch and here.
class ModelInPython : public ::testing::TestWithParam<const char*> {
 protected:
  ModelInPython() {
    torch::manual_seed(1);
    images_ = at::rand({8, input_.channels, input_.height, input_.width});
    SaveStateDict(Path("images"), {{{"images", images_}}, {}});
  }

  std::filesystem::path Path(const char* name) const { return directory_.path() / name; }

  void ExpectPythonComputesTheSame(const char* action, ImageClassifier& model) {
    model.eval();
    const at::Tensor theirs = LoadStateDict(Path("images.logits")).tensors.at(0).second;
    const at::Tensor ours = model.forward(images_);
    EXPECT_GT((ours - ours.mean()).abs().max().item<float>(), 0.01F) << "they tell something";
    EXPECT_LT((ours - theirs).abs().max().item<float>(), 1e-6F) << action;
  }
  void RunPython(const char* action) {
    testing::ChildProcess python({SWARMSYNC_PYTHON, "-B", SWARMSYNC_SOURCE_DIR "/tests/model/logits.py",
                                  action, GetParam(), Path("images"), Path("weights.pt")});
    ASSERT_EQ(python.Wait(), 0);
  }

  const torch::NoGradGuard no_grad_;
  const ModelRegistry models_ = ModelRegistry::WithBuiltIn();
  const bool gray_ = std::string_view(GetParam()) == "lenet5";
  const ModelInput input_ = gray_ ? ModelInput{1, 28, 28, 10} : ModelInput{3, 32, 32, 10};
  at::Tensor images_;

 private:
  PrivateDirectory directory_;
};
INSTANTIATE_TEST_SUITE_P(Models, ModelInPython, ::testing::Values("lenet5", "resnet8"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(ModelInPython, OursGivesTheSameLogitsThere) {
  const auto model = models_.Make(GetParam(), input_);
  model->forward(images_);  // in training mode, which moves running statistics
  SaveStateDict(Path("weights.pt"), {StateOf(*model), {{"swarmsync", "x"}}});
  RunPython("run");
  ExpectPythonComputesTheSame("run", *model);
}

TEST_P(ModelInPython, TheirsGivesTheSameLogitsHere) {
  RunPython("make");
  const auto model = models_.Make(GetParam(), input_);
  CopyInto(*model, LoadWeights(Path("weights.pt")), Path("weights.pt"));
  ExpectPythonComputesTheSame("make", *model);
}

}  // namespace
}  // namespace swarmsync
