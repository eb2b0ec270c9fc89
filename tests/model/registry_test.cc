#include "swarmsync/model/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "support/errors.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MessageOf;

std::int64_t NumParameters(const torch::nn::Module& module) {
  std::int64_t count = 0;
  for (const at::Tensor& parameter : module.parameters()) count += parameter.numel();
  return count;
}

// One layer, as a user would write it.
class Linear : public ImageClassifier {
 public:
  explicit Linear(const ModelInput& input)
      : fc_(register_module("fc",
                            torch::nn::Linear(input.channels * input.height * input.width, input.classes))) {}
  at::Tensor forward(const at::Tensor& images) override { return fc_(images.flatten(1)); }

 private:
  torch::nn::Linear fc_;
};

TEST(ModelRegistry, KnowsItsModels) {
  EXPECT_THAT(ModelRegistry::WithBuiltIn().names(),
              ElementsAre("lenet5", "mlp", "resnet18", "resnet20", "resnet8", "vgg11"));
}

TEST(ModelRegistry, ParameterCountsAreTheDocumentedOnes) {
  const ModelRegistry models = ModelRegistry::WithBuiltIn();
  EXPECT_EQ(NumParameters(*models.Make("lenet5", {1, 28, 28, 10})), 61'706);
  EXPECT_EQ(NumParameters(*models.Make("mlp", {1, 28, 28, 10})), 199'210);
  // 3 channels of 32x32: conv1 3·6·25+6, conv2 6·16·25+16, fc1 16·6·6·120+120, fc2 120·84+84, fc3 84·100+100.
  EXPECT_EQ(NumParameters(*models.Make("lenet5", {3, 32, 32, 100})), 456 + 2416 + 69'240 + 10'164 + 8'500);
}

TEST(ModelRegistry, ModelsGiveOneLogitForEachClass) {
  const ModelRegistry models = ModelRegistry::WithBuiltIn();
  for (const std::string& name : models.names()) {
    for (const ModelInput& input : {ModelInput{1, 32, 32, 10}, ModelInput{3, 32, 36, 7}}) {
      const auto model = models.Make(name, input);
      model->eval();
      for (const std::int64_t batch : {1, 5}) {
        const at::Tensor logits =
            model->forward(at::rand({batch, input.channels, input.height, input.width}));
        EXPECT_EQ(logits.sizes(), (std::vector<std::int64_t>{batch, input.classes})) << name;
        EXPECT_TRUE(logits.isfinite().all().item<bool>()) << name;
      }
    }
  }
}

TEST(ModelRegistry, TheSmallestImagesOfLeNet5Work) {
  const auto model = ModelRegistry::WithBuiltIn().Make("lenet5", {1, 12, 12, 2});
  EXPECT_EQ(model->forward(at::rand({3, 1, 12, 12})).sizes(), (std::vector<std::int64_t>{3, 2}));
}

TEST(ModelRegistry, LeNet5RefusesImagesThatAreTooSmall) {
  const ModelRegistry models = ModelRegistry::WithBuiltIn();
  for (const auto& [height, width] : {std::pair{11, 28}, {28, 11}, {5, 5}, {1, 1}}) {
    EXPECT_THAT(MessageOf<UsageError>([&, h = height, w = width] {
                  models.Make("lenet5", {1, h, w, 10});
                }),
                AllOf(HasSubstr("12x12"), HasSubstr(std::to_string(height) + "x" + std::to_string(width)),
                      HasSubstr("mlp")));
  }
}

TEST(ModelRegistry, AnUnknownNameIsRefusedWithTheNearestOne) {
  const ModelRegistry models = ModelRegistry::WithBuiltIn();
  EXPECT_THAT(MessageOf<UsageError>([&] { models.Make("lenet", {}); }),
              AllOf(HasSubstr("'lenet'"), HasSubstr("did you mean 'lenet5'?"), HasSubstr("mlp")));
}

TEST(ModelRegistry, TakesAUsersOwnModel) {
  ModelRegistry models = ModelRegistry::WithBuiltIn();
  models.Register("linear", [](const ModelInput& input) { return std::make_shared<Linear>(input); });
  EXPECT_THAT(models.names(),
              ElementsAre("lenet5", "linear", "mlp", "resnet18", "resnet20", "resnet8", "vgg11"));
  EXPECT_EQ(NumParameters(*models.Make("linear", {1, 4, 5, 3})), 4 * 5 * 3 + 3);
}

TEST(ModelRegistry, RefusesANameThatIsTaken) {
  ModelRegistry models = ModelRegistry::WithBuiltIn();
  const auto factory = [](const ModelInput& input) { return std::make_shared<Linear>(input); };
  EXPECT_THAT(MessageOf<UsageError>([&] { models.Register("mlp", factory); }), HasSubstr("'mlp'"));
  EXPECT_EQ(NumParameters(*models.Make("mlp", {1, 28, 28, 10})), 199'210) << "the first one stays";
}

TEST(ModelRegistry, InitialWeightsComeFromLibtorchsGenerator) {
  const ModelRegistry models = ModelRegistry::WithBuiltIn();
  for (const std::string& name : models.names()) {
    const auto first_weights = [&](std::uint64_t seed) {
      torch::manual_seed(seed);
      return models.Make(name, {1, 32, 32, 10})->parameters()[0].detach().clone();
    };
    EXPECT_TRUE(first_weights(3).equal(first_weights(3))) << name;
    EXPECT_FALSE(first_weights(3).equal(first_weights(4))) << name;
  }
}

}  // namespace
}  // namespace swarmsync
