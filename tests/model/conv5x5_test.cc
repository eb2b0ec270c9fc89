#include "model/conv5x5.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <vector>

namespace swarmsync {
namespace {

struct Case {
  std::vector<std::int64_t> images;
  std::int64_t outputs, padding;
};

at::Tensor Libtorch(const at::Tensor& images, const at::Tensor& weight, const at::Tensor& bias,
                    std::int64_t padding) {
  return at::conv2d(images, weight, bias, 1, padding);
}

using Convolution = decltype(&Libtorch);

struct Leaves {
  at::Tensor images, weight, bias;

  Leaves Copies(at::ScalarType type) const {
    const auto leaf = [&](const at::Tensor& tensor) {
      return tensor.detach()
          .to(type, /*non_blocking=*/false, /*copy=*/true)
          .set_requires_grad(tensor.requires_grad());
    };
    return {leaf(images), leaf(weight), leaf(bias)};
  }
};

// The output, and the gradients of those that want one.
std::vector<at::Tensor> OutputAndGradients(Convolution convolution, const Leaves& leaves,
                                           std::int64_t padding, const at::Tensor& to_output) {
  const at::Tensor output = convolution(leaves.images, leaves.weight, leaves.bias, padding);
  output.backward(to_output.to(output.scalar_type()));
  std::vector<at::Tensor> all{output.detach(), leaves.weight.grad(), leaves.bias.grad()};
  if (leaves.images.requires_grad()) all.push_back(leaves.images.grad());
  return all;
}

Leaves Random(const Case& shape, bool gradient_of_images) {
  return {at::randn(shape.images).set_requires_grad(gradient_of_images),
          at::randn({shape.outputs, shape.images[1], 5, 5}).requires_grad_(),
          at::randn({shape.outputs}).requires_grad_()};
}

// Against libtorch in double precision: what is left is the rounding of sums of floats.
void ExpectIsAConvolution(const Leaves& leaves, std::int64_t padding) {
  const at::Tensor output = Libtorch(leaves.images, leaves.weight, leaves.bias, padding);
  const at::Tensor to_output = at::randn_like(output);
  const auto ours = OutputAndGradients(&Conv5x5, leaves.Copies(at::kFloat), padding, to_output);
  const auto theirs = OutputAndGradients(&Libtorch, leaves.Copies(at::kDouble), padding, to_output);
  ASSERT_EQ(ours.size(), theirs.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    ASSERT_EQ(ours[i].sizes(), theirs[i].sizes());
    const at::Tensor theirs_of_i = theirs[i].to(at::kFloat);
    const double size = theirs_of_i.numel() == 0 ? 0 : theirs_of_i.abs().max().item<double>();
    EXPECT_TRUE(at::allclose(ours[i], theirs_of_i, 0, 1e-5 * size))
        << "tensor " << i << " for images " << leaves.images.sizes() << ", padding " << padding;
  }
}

const std::vector<Case> kShapes{{{32, 1, 28, 28}, 6, 2},  // LeNet-5's
                                {{32, 6, 14, 14}, 16, 0}, {{4, 3, 32, 32}, 6, 2}, {{5, 8, 9, 7}, 3, 1},
                                {{1, 4, 5, 5}, 4, 0},     {{3, 3, 1, 1}, 5, 4},   {{2, 5, 6, 31}, 7, 3},
                                {{0, 3, 8, 8}, 6, 2}};

TEST(Conv5x5, IsAConvolutionWithItsGradients) {
  torch::manual_seed(1);
  for (const Case& shape : kShapes) ExpectIsAConvolution(Random(shape, true), shape.padding);
}

TEST(Conv5x5, DoesWithoutTheGradientOfTheImages) {
  torch::manual_seed(2);
  for (const Case& shape : kShapes) ExpectIsAConvolution(Random(shape, false), shape.padding);
}

TEST(Conv5x5, TakesAGradientThatIsNotContiguous) {
  torch::manual_seed(3);
  const Leaves leaves = Random({{2, 3, 8, 8}, 4, 2}, true);
  const at::Tensor to_output = at::randn({8, 8, 4, 2}).permute({3, 2, 0, 1});
  const auto ours = OutputAndGradients(&Conv5x5, leaves.Copies(at::kFloat), 2, to_output);
  const auto same = OutputAndGradients(&Conv5x5, leaves.Copies(at::kFloat), 2, to_output.contiguous());
  for (std::size_t i = 0; i < ours.size(); ++i) EXPECT_TRUE(at::equal(ours[i], same[i])) << i;
}

TEST(Conv5x5, DoesNotDependOnTheNumberOfThreads) {
  torch::manual_seed(4);
  const Leaves leaves = Random({{9, 6, 14, 14}, 16, 0}, true);
  const at::Tensor to_output = at::randn({9, 16, 10, 10});
  const int threads = at::get_num_threads();
  std::vector<std::vector<at::Tensor>> found;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    found.push_back(OutputAndGradients(&Conv5x5, leaves.Copies(at::kFloat), 0, to_output));
  }
  at::set_num_threads(threads);
  for (std::size_t i = 0; i < found[0].size(); ++i) {
    EXPECT_TRUE(at::equal(found[0][i], found[1][i])) << i;
    EXPECT_TRUE(at::equal(found[0][i], found[2][i])) << i;
  }
}

TEST(Conv5x5, LeavesWhatItIsNotForToLibtorch) {
  torch::manual_seed(5);
  const auto expect_libtorchs = [](const at::Tensor& images, const at::Tensor& weight, const at::Tensor& bias,
                                   std::int64_t padding) {
    EXPECT_TRUE(at::equal(Conv5x5(images, weight, bias, padding), Libtorch(images, weight, bias, padding)))
        << images.sizes() << weight.sizes();
  };
  expect_libtorchs(at::randn({2, 3, 8, 8}, at::kDouble), at::randn({4, 3, 5, 5}, at::kDouble),
                   at::randn({4}, at::kDouble), 2);
  expect_libtorchs(at::randn({2, 3, 8, 8}), at::randn({4, 3, 3, 3}), at::randn({4}), 1);    // 3x3
  expect_libtorchs(at::randn({2, 16, 8, 8}), at::randn({4, 16, 5, 5}), at::randn({4}), 2);  // many channels
  expect_libtorchs(at::randn({2, 3, 8, 8}), at::randn({2, 3, 5, 5}), at::randn({2}), 2);    // two outputs
  expect_libtorchs(at::randn({3, 8, 8}), at::randn({4, 3, 5, 5}), at::randn({4}), 2);       // no batch
  expect_libtorchs(at::randn({2, 8, 8, 3}).permute({0, 3, 1, 2}), at::randn({4, 3, 5, 5}), at::randn({4}), 2);
  expect_libtorchs(at::randn({2, 3, 8, 8}), at::randn({4, 3, 5, 5}), at::randn({4}), 6);  // a wide border
  EXPECT_THROW(Conv5x5(at::randn({2, 3, 4, 4}), at::randn({4, 3, 5, 5}), at::randn({4}), 0), c10::Error);
  EXPECT_THROW(Conv5x5(at::randn({2, 3, 8, 8}), at::randn({4, 2, 5, 5}), at::randn({4}), 0), c10::Error);
}

TEST(Conv5x5, RefusesASecondDerivative) {
  const Leaves leaves = Random({{1, 3, 8, 8}, 4, 2}, true);
  const at::Tensor output = Conv5x5(leaves.images, leaves.weight, leaves.bias, 2);
  EXPECT_THROW(torch::autograd::grad({output}, {leaves.images}, {at::ones_like(output)}, true, true),
               c10::Error);
}

}  // namespace
}  // namespace swarmsync
