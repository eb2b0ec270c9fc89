// The larger networks against what PyTorch computes (make_goldens.py).

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/errors.h"
#include "swarmsync/base/error.h"
#include "swarmsync/model/registry.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::MessageOf;

// As scrambled() of make_goldens.py.
at::Tensor Scrambled(std::int64_t number, at::IntArrayRef shape) {
  constexpr std::int64_t kPrime = 1'000'003;
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  const at::Tensor x = (torch::arange(count, at::kLong) + 7919 * (number + 1)).remainder(kPrime);
  const at::Tensor cube = ((x * x).remainder(kPrime) * x).remainder(kPrime);
  return (2 * cube.to(at::kDouble) / static_cast<double>(kPrime) - 1).reshape(shape);
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// As fill() of make_goldens.py.
void Fill(torch::nn::Module& network) {
  torch::NoGradGuard no_grad;
  std::int64_t number = 0;
  const auto fill = [&](const std::string& name, const at::Tensor& tensor) {
    at::Tensor values = Scrambled(number++, tensor.sizes());
    if (tensor.dim() > 1) {
      values *= std::sqrt(2.0 * static_cast<double>(tensor.size(0)) / static_cast<double>(tensor.numel()));
    } else if (EndsWith(name, "running_var")) {
      values = 1 + 0.5 * values * values;
    } else if (EndsWith(name, "weight")) {
      values = 1 + 0.1 * values;
    } else {
      values *= 0.1;
    }
    tensor.copy_(values);
  };
  for (const auto& item : network.named_parameters()) fill(item.key(), item.value());
  for (const auto& item : network.named_buffers()) {
    if (item.value().is_floating_point()) fill(item.key(), item.value());
  }
}

class NetworksTest : public ::testing::TestWithParam<const char*> {
 protected:
  static nlohmann::json Goldens() {
    std::ifstream file(SWARMSYNC_SOURCE_DIR "/tests/model/goldens.json");
    return nlohmann::json::parse(file);
  }
  const nlohmann::json golden_ = Goldens().at(GetParam());
  const std::shared_ptr<ImageClassifier> model_ =
      ModelRegistry::WithBuiltIn().Make(GetParam(), {3, 32, 32, 10});

  void ExpectClose(const at::Tensor& found, const char* key, double tolerance) const {
    const auto values = golden_.at(key).get<std::vector<double>>();
    const at::Tensor expected = torch::tensor(values, at::kDouble);
    const at::Tensor got = found.detach().flatten().to(at::kDouble);
    ASSERT_EQ(got.numel(), expected.numel()) << key;
    const double scale = expected.abs().max().item<double>();
    EXPECT_LT((got - expected).abs().max().item<double>(), tolerance * scale) << key;
  }
};

TEST_P(NetworksTest, HasPyTorchsNamesAndNumberOfParameters) {
  std::vector<std::string> names, buffers;
  std::int64_t parameters = 0;
  for (const auto& item : model_->named_parameters()) {
    names.push_back(item.key());
    parameters += item.value().numel();
  }
  for (const auto& item : model_->named_buffers()) buffers.push_back(item.key());
  EXPECT_EQ(names, golden_.at("names").get<std::vector<std::string>>());
  EXPECT_EQ(buffers, golden_.at("buffers").get<std::vector<std::string>>());
  EXPECT_EQ(parameters, golden_.at("parameters").get<std::int64_t>());
}

TEST_P(NetworksTest, ComputesWhatPyTorchComputes) {
  Fill(*model_);
  const at::Tensor images = Scrambled(1000, {8, 3, 32, 32}).to(at::kFloat);
  model_->eval();
  {
    torch::NoGradGuard no_grad;
    ExpectClose(model_->forward(images), "evaluated", 1e-4);
  }
  model_->train();
  const at::Tensor logits = model_->forward(images);
  ExpectClose(logits, "trained", 1e-3);
  const at::Tensor loss = at::cross_entropy_loss(logits, torch::arange(8));
  EXPECT_NEAR(loss.item<double>(), golden_.at("loss").get<double>(), 1e-3);
  loss.backward();
  std::vector<at::Tensor> gradient_norms, running_norms;
  for (const at::Tensor& parameter : model_->parameters()) gradient_norms.push_back(parameter.grad().norm());
  for (const at::Tensor& buffer : model_->buffers()) {
    if (buffer.is_floating_point()) running_norms.push_back(buffer.norm());
  }
  ExpectClose(torch::stack(gradient_norms), "gradient_norms", 1e-3);
  ExpectClose(torch::stack(running_norms), "running_norms", 1e-4);
}

INSTANTIATE_TEST_SUITE_P(All, NetworksTest, ::testing::Values("resnet8", "resnet20", "resnet18", "vgg11"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Networks, HaveTheDocumentedNumbersOfParameters) {
  const ModelRegistry models = ModelRegistry::WithBuiltIn();
  const std::map<std::string, std::int64_t> documented{
      {"resnet8", 75'290}, {"resnet20", 269'722}, {"resnet18", 11'173'962}, {"vgg11", 9'231'114}};
  for (const auto& [name, expected] : documented) {
    std::int64_t count = 0;
    for (const at::Tensor& parameter : models.Make(name, {3, 32, 32, 10})->parameters())
      count += parameter.numel();
    EXPECT_EQ(count, expected) << name;
  }
}

TEST(Networks, ConvolutionsBeginAsHeEtAlSay) {
  torch::manual_seed(5);
  const auto model = ModelRegistry::WithBuiltIn().Make("resnet18", {3, 32, 32, 10});
  for (const auto& item : model->named_parameters()) {
    if (item.value().dim() != 4) continue;
    const double fan_out =
        static_cast<double>(item.value().numel()) / static_cast<double>(item.value().size(1));
    EXPECT_NEAR(item.value().std().item<double>() * std::sqrt(fan_out / 2), 1, 0.06) << item.key();
    EXPECT_NEAR(item.value().mean().item<double>() * std::sqrt(fan_out / 2), 0, 0.06) << item.key();
  }
}

TEST(Networks, Vgg11RefusesImagesThatAreTooSmall) {
  const ModelRegistry models = ModelRegistry::WithBuiltIn();
  EXPECT_THAT(MessageOf<UsageError>([&] {
                models.Make("vgg11", {3, 31, 64, 10});
              }),
              AllOf(HasSubstr("32x32"), HasSubstr("31x64"), HasSubstr("resnet")));
  const auto model = models.Make("vgg11", {1, 64, 32, 3});
  model->eval();
  EXPECT_EQ(model->forward(at::rand({2, 1, 64, 32})).sizes(), (std::vector<std::int64_t>{2, 3}));
}

}  // namespace
}  // namespace swarmsync
