#include "train/renew_statistics.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "swarmsync/params/flat_params.h"

namespace swarmsync {
namespace {

// A BatchNorm with any momentum, a mask that nothing changes, and a layer that needs something to train.
class Normalized : public ImageClassifier {
 public:
  explicit Normalized(c10::optional<double> momentum) {
    norm =
        register_module("norm", torch::nn::BatchNorm2d(torch::nn::BatchNorm2dOptions(2).momentum(momentum)));
    mask = register_buffer("mask", torch::full({3}, -std::numeric_limits<float>::infinity()));
  }
  at::Tensor forward(const at::Tensor& images) override { return norm(images).flatten(1); }

  torch::nn::BatchNorm2d norm{nullptr};
  at::Tensor mask;
};

class RenewStatisticsTest : public ::testing::TestWithParam<double> {
 protected:
  static c10::optional<double> Momentum() {
    return GetParam() == 0 ? c10::nullopt : c10::optional<double>(GetParam());
  }
};
// 0: a mean over all passes.
INSTANTIATE_TEST_SUITE_P(Momenta, RenewStatisticsTest, ::testing::Values(0.1, 0.01, 1.0, 0.0));

TEST_P(RenewStatisticsTest, AreTheMeansOverTheMiniBatches) {
  torch::manual_seed(4);
  Normalized net(Momentum());
  FlatParams params(net);
  for (int pass = 0; pass < 5; ++pass)
    net.forward(50 + torch::randn({4, 2, 3, 3}));  // what shall be forgotten
  const std::int64_t passes = net.norm->num_batches_tracked.item<std::int64_t>();

  const std::vector<double> centers{-300, 2, 40};
  std::vector<at::Tensor> batches;
  at::Tensor means = torch::zeros({2}), variances = torch::zeros({2});
  for (const double center : centers) {
    batches.push_back(center + (1 + std::abs(center)) * torch::randn({8, 2, 5, 5}));
    means += batches.back().mean({0, 2, 3}) / 3;
    variances += batches.back().var({0, 2, 3}) / 3;
  }
  std::size_t loaded = 0;
  net.eval();
  RenewStatistics(
      net, params.buffers(), 3, [&] { ++loaded; }, [&] { net.forward(batches.at(loaded - 1)); });

  EXPECT_EQ(loaded, 3u);
  EXPECT_TRUE(net.norm->running_mean.allclose(means, 1e-3, 1e-3)) << net.norm->running_mean << means;
  EXPECT_TRUE(net.norm->running_var.allclose(variances, 1e-3)) << net.norm->running_var << variances;
  EXPECT_EQ(net.norm->num_batches_tracked.item<std::int64_t>(), passes);
  EXPECT_TRUE(net.mask.isneginf().all().item<bool>()) << "what is no average stays";
  EXPECT_FALSE(net.is_training());
}

}  // namespace
}  // namespace swarmsync
