#include "model/max_pool.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <limits>

namespace swarmsync {
namespace {

using Pool = at::Tensor (*)(const at::Tensor&);

at::Tensor LibtorchMaxPool(const at::Tensor& images) { return at::max_pool2d(images, 2); }

at::Tensor GradientOf(Pool pool, const at::Tensor& images, const at::Tensor& gradient) {
  const at::Tensor leaf = images.detach().requires_grad_();
  pool(leaf).backward(gradient);
  return leaf.grad();
}

void ExpectWhatLibtorchGives(const at::Tensor& images) {
  const at::Tensor expected = LibtorchMaxPool(images);
  EXPECT_TRUE(at::equal(MaxPool2x2(images), expected)) << images.sizes();
  // The gradient of a sum has stride 0, as that of a mean after the pooling.
  for (const at::Tensor& gradient :
       {at::randn_like(expected), at::ones({}, images.options()).expand_as(expected)}) {
    EXPECT_TRUE(
        at::equal(GradientOf(&MaxPool2x2, images, gradient), GradientOf(&LibtorchMaxPool, images, gradient)))
        << images.sizes();
  }
}

TEST(MaxPool, IsLibtorchsForEvenOddSmallAndLargeImages) {
  torch::manual_seed(1);
  for (const std::vector<std::int64_t>& sizes : std::vector<std::vector<std::int64_t>>{{32, 6, 28, 28},
                                                                                       {32, 16, 10, 10},
                                                                                       {2, 3, 7, 5},
                                                                                       {1, 1, 2, 2},
                                                                                       {1, 2, 2, 3},
                                                                                       {3, 1, 65, 130},
                                                                                       {0, 6, 28, 28}}) {
    ExpectWhatLibtorchGives(at::randn(sizes));
  }
}

TEST(MaxPool, GivesTheGradientToTheFirstOfEquals) {
  torch::manual_seed(2);
  // Few different values, so that most squares have several maxima, and one that has nothing else.
  ExpectWhatLibtorchGives(at::randint(-1, 2, {8, 4, 12, 12}).to(at::kFloat));
  ExpectWhatLibtorchGives(at::full({2, 2, 6, 6}, -0.0f));
}

TEST(MaxPool, LetsInfinityAndWhatIsNotANumberThrough) {
  torch::manual_seed(3);
  at::Tensor images = at::randn({2, 3, 8, 8});
  for (const float strange :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    images.masked_fill_(at::rand_like(images) < 0.2, strange);
    ExpectWhatLibtorchGives(images);
  }
  images.masked_fill_(at::rand_like(images) < 0.2, std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(at::equal(MaxPool2x2(images).isnan(), LibtorchMaxPool(images).isnan()));
}

TEST(MaxPool, LeavesOtherKindsOfTensorsToLibtorch) {
  torch::manual_seed(4);
  ExpectWhatLibtorchGives(at::randn({2, 3, 8, 8}, at::kDouble));
  ExpectWhatLibtorchGives(at::randn({2, 3, 8, 8}).contiguous(at::MemoryFormat::ChannelsLast));
  ExpectWhatLibtorchGives(at::randn({2, 8, 8, 3}).permute({0, 3, 1, 2}));
  ExpectWhatLibtorchGives(at::randn({3, 8, 8}));
}

TEST(MaxPool, RefusesASecondDerivative) {
  const at::Tensor images = at::randn({1, 1, 4, 4}).requires_grad_();
  const at::Tensor pooled = MaxPool2x2(images);
  EXPECT_THROW(torch::autograd::grad({pooled}, {images}, {at::ones_like(pooled)}, true, true), c10::Error);
}

}  // namespace
}  // namespace swarmsync
