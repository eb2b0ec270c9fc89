// The optimizer of the flat weights against libtorch's own, one tensor after another.

#include "train/optimizer.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <functional>
#include <memory>

namespace swarmsync {
namespace {

// Weights of two dimensions and of one, in turn, and one that is frozen.
class Net : public torch::nn::Module {
 public:
  Net() {
    for (const std::vector<std::int64_t>& sizes :
         std::vector<std::vector<std::int64_t>>{{3, 5}, {5}, {7, 2}, {2}, {4, 4}}) {
      register_parameter("p" + std::to_string(parameters().size()), torch::randn(sizes));
    }
    parameters()[4].set_requires_grad(false);
  }
};

using Change = std::function<void(TrainConfig&)>;
// libtorch's, with decay for the parameters that decay and without it for the others.
using Reference =
    std::function<std::unique_ptr<torch::optim::Optimizer>(std::vector<torch::optim::OptimizerParamGroup>)>;

void ExpectTheSame(const Change& change, double decay, bool decay_all, const Reference& reference) {
  TrainConfig config;
  config.weight_decay = decay;
  config.decay_all = decay_all;
  change(config);
  torch::manual_seed(4);
  Net ours;
  torch::manual_seed(4);
  Net theirs;
  FlatParams params(ours);
  const auto optimizer = MakeOptimizer(config, 0.1, params);
  std::vector<at::Tensor> decayed, spared;
  for (const at::Tensor& p : theirs.parameters()) {
    if (p.requires_grad()) (p.dim() > 1 || decay_all ? decayed : spared).push_back(p);
  }
  std::vector<torch::optim::OptimizerParamGroup> groups{decayed};
  if (!spared.empty()) {
    const auto without = [](auto options) {
      return std::make_unique<decltype(options)>(options.weight_decay(0));
    };
    groups.emplace_back(spared);
    if (config.optimizer == OptimizerKind::kAdamW) {
      groups[1].set_options(without(torch::optim::AdamWOptions(0.1)));
    } else {
      groups[1].set_options(
          without(torch::optim::SGDOptions(0.1).momentum(config.momentum).nesterov(config.nesterov)));
    }
  }
  const auto expected = reference(groups);
  for (int step = 0; step < 5; ++step) {
    params.ZeroGrad();
    for (std::size_t i = 0; i < params.slots().size(); ++i) {
      at::Tensor p = theirs.parameters()[i];
      if (!p.requires_grad()) continue;
      p.mutable_grad() = torch::randn(p.sizes());
      ours.parameters()[i].mutable_grad().copy_(p.grad());
    }
    optimizer->step();
    expected->step();
    for (std::size_t i = 0; i < params.slots().size(); ++i) {
      EXPECT_TRUE(ours.parameters()[i].allclose(theirs.parameters()[i], 1e-5, 1e-6))
          << "step " << step << ", p" << i;
    }
  }
}

void ExpectTheSameSgd(double momentum, bool nesterov, double decay, bool decay_all) {
  ExpectTheSame(
      [=](TrainConfig& c) { c.momentum = momentum, c.nesterov = nesterov; }, decay, decay_all,
      [=](auto groups) {
        return std::make_unique<torch::optim::SGD>(
            std::move(groups),
            torch::optim::SGDOptions(0.1).momentum(momentum).nesterov(nesterov).weight_decay(decay));
      });
}

TEST(MakeOptimizer, IsSgdThatSparesBiases) {
  ExpectTheSameSgd(0, false, 0, false);
  ExpectTheSameSgd(0, false, 0.05, false);
  ExpectTheSameSgd(0.9, false, 0.05, false);
  ExpectTheSameSgd(0.9, true, 0.05, false);
}

TEST(MakeOptimizer, DecaysAllThatTrainWhenAsked) { ExpectTheSameSgd(0.9, false, 0.05, true); }

TEST(MakeOptimizer, IsAdamWThatSparesBiases) {
  for (const bool decay_all : {false, true}) {
    ExpectTheSame([](TrainConfig& c) { c.optimizer = OptimizerKind::kAdamW; }, 0.2, decay_all,
                  [](auto groups) {
                    return std::make_unique<torch::optim::AdamW>(
                        std::move(groups), torch::optim::AdamWOptions(0.1).weight_decay(0.2));
                  });
  }
}

TEST(MakeOptimizer, HasOneTensor) {
  Net net;
  FlatParams params(net);
  TrainConfig config;
  config.weight_decay = 0.1;
  const auto optimizer = MakeOptimizer(config, 0.1, params);
  ASSERT_EQ(optimizer->param_groups().size(), 1u);
  EXPECT_EQ(optimizer->param_groups()[0].params().size(), 1u);
}

}  // namespace
}  // namespace swarmsync
