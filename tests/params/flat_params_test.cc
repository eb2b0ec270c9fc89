#include "swarmsync/params/flat_params.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdint>
#include <limits>

#include "support/errors.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

using testing::MessageOf;

// A module of parameters of given shapes, named a, b, c, …
class Shapes : public torch::nn::Module {
 public:
  explicit Shapes(const std::vector<std::vector<std::int64_t>>& shapes) {
    std::string name = "a";
    for (const auto& shape : shapes) {
      register_parameter(name, torch::randn(shape));
      ++name[0];
    }
  }
};

// A convolution in channels-last, a frozen layer and two others.
class Net : public torch::nn::Module {
 public:
  Net() {
    frozen_->weight.set_requires_grad(false);
    conv_->to(torch::kFloat);
    torch::NoGradGuard no_grad;
    conv_->weight.set_data(conv_->weight.contiguous(at::MemoryFormat::ChannelsLast));
  }
  at::Tensor forward(const at::Tensor& images) {
    return last_(torch::tanh(frozen_(torch::relu(conv_(images)).flatten(1))));
  }

 private:
  torch::nn::Conv2d conv_ = register_module("conv", torch::nn::Conv2d(3, 5, 3));
  torch::nn::Linear frozen_ = register_module("frozen", torch::nn::Linear(5 * 4 * 4, 7));
  torch::nn::Linear last_ = register_module("last", torch::nn::Linear(7, 3));
};

std::vector<at::Tensor> Copies(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> copies;
  for (const at::Tensor& tensor : tensors) copies.push_back(tensor.detach().clone());
  return copies;
}

// What lies between the slots.
at::Tensor Padding(const FlatParams& params, const at::Tensor& flat) {
  at::Tensor padding = flat.clone();
  for (const auto& slot : params.slots()) padding.narrow(0, slot.offset, slot.size).zero_();
  return padding;
}

void ExpectAllAreViews(const FlatParams& params, const torch::nn::Module& module) {
  const auto parameters = module.parameters();
  ASSERT_EQ(parameters.size(), params.slots().size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const FlatParams::Slot& slot = params.slots()[i];
    if (slot.size == 0) continue;
    EXPECT_EQ(parameters[i].data_ptr<float>(), params.weights().data_ptr<float>() + slot.offset) << slot.name;
    if (!parameters[i].requires_grad()) continue;
    ASSERT_TRUE(parameters[i].grad().defined()) << slot.name;
    EXPECT_EQ(parameters[i].grad().data_ptr<float>(), params.gradients().data_ptr<float>() + slot.offset)
        << slot.name;
  }
}

at::Tensor Loss(Net& net) {
  torch::manual_seed(7);
  return net.forward(torch::randn({4, 3, 6, 6})).square().mean();
}

class FlatParamsTest : public ::testing::Test {
 protected:
  FlatParamsTest() { torch::manual_seed(1); }
};

TEST_F(FlatParamsTest, LaysParametersInOrderInSlotsOfWholeCacheLines) {
  Shapes module({{3}, {}, {4, 5}, {16}, {0, 3}, {17}});
  const FlatParams params(module);
  const auto& slots = params.slots();
  ASSERT_EQ(slots.size(), 6u);
  const std::vector<std::string> names = {"a", "b", "c", "d", "e", "f"};
  const std::vector<std::int64_t> offsets = {0, 16, 32, 64, 80, 80}, sizes = {3, 1, 20, 16, 0, 17},
                                  logical = {0, 3, 4, 24, 40, 40};
  for (std::size_t i = 0; i < slots.size(); ++i) {
    EXPECT_EQ(slots[i].name, names[i]);
    EXPECT_EQ(slots[i].offset, offsets[i]) << i;
    EXPECT_EQ(slots[i].size, sizes[i]) << i;
    EXPECT_EQ(slots[i].logical_offset, logical[i]) << i;
  }
  EXPECT_EQ(slots[2].sizes, (std::vector<std::int64_t>{4, 5}));
  EXPECT_EQ(slots[2].strides, (std::vector<std::int64_t>{5, 1}));
  EXPECT_EQ(params.num_params(), 57);
  EXPECT_EQ(params.weights().sizes(), at::IntArrayRef({112}));
  EXPECT_EQ(params.gradients().sizes(), at::IntArrayRef({112}));
  EXPECT_TRUE(params.weights().is_contiguous());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(params.weights().data_ptr()) % 64, 0u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(params.gradients().data_ptr()) % 64, 0u);
}

TEST_F(FlatParamsTest, NamesAreThoseOfTheModule) {
  Net net;
  const FlatParams params(net);
  std::vector<std::string> names;
  for (const auto& slot : params.slots()) names.push_back(slot.name);
  EXPECT_EQ(names, net.named_parameters().keys());
  EXPECT_EQ(names[0], "conv.weight");
}

TEST_F(FlatParamsTest, ParametersAndGradientsBecomeViewsThatKeepTheirValues) {
  Net net;
  Loss(net).backward();
  const auto weights = Copies(net.parameters());
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : net.parameters()) {
    gradients.push_back(parameter.grad().defined() ? parameter.grad().clone() : at::Tensor());
  }
  const FlatParams params(net);
  ExpectAllAreViews(params, net);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const FlatParams::Slot& slot = params.slots()[i];
    EXPECT_TRUE(torch::equal(net.parameters()[i], weights[i])) << slot.name;
    EXPECT_TRUE(torch::equal(FlatParams::View(params.weights(), slot), weights[i])) << slot.name;
    if (!gradients[i].defined()) continue;
    EXPECT_TRUE(torch::equal(FlatParams::View(params.gradients(), slot), gradients[i])) << slot.name;
  }
}

TEST_F(FlatParamsTest, ViewsShareTheFlatTensorsMemory) {
  Shapes module({{3}, {2, 2}});
  const FlatParams params(module);
  const at::Tensor view = FlatParams::View(params.weights(), params.slots()[1]);
  params.weights()[16 + 2].fill_(42);
  EXPECT_EQ(view[1][0].item<float>(), 42);
  EXPECT_EQ(module.parameters()[1][1][0].item<float>(), 42);
}

TEST_F(FlatParamsTest, NewStateIsZerosOfItsOwn) {
  Shapes module({{3}, {17}});
  const FlatParams params(module);
  const at::Tensor state = params.NewState();
  EXPECT_TRUE(torch::equal(state, torch::zeros_like(params.weights())));
  EXPECT_FALSE(state.is_alias_of(params.weights()));
}

TEST_F(FlatParamsTest, TheMessageIsTheGradientsAndOneNumberMore) {
  Shapes module({{3}, {17}});
  const FlatParams params(module);
  const at::Tensor& message = params.gradient_message();
  ASSERT_EQ(message.numel(), params.gradients().numel() + 1);
  EXPECT_TRUE(message.is_contiguous());
  EXPECT_EQ(message.data_ptr(), params.gradients().data_ptr());
  message[-1].fill_(5);
  EXPECT_EQ(params.gradients().abs().sum().item<float>(), 0);
}

TEST_F(FlatParamsTest, BackwardWritesIntoTheFlatGradients) {
  Net net;
  const FlatParams params(net);
  std::vector<at::Tensor> trained;
  for (const at::Tensor& parameter : net.parameters()) {
    if (parameter.requires_grad()) trained.push_back(parameter);
  }
  const auto expected = torch::autograd::grad({Loss(net)}, trained);
  Loss(net).backward();
  ExpectAllAreViews(params, net);
  std::size_t i = 0;
  for (const FlatParams::Slot& slot : params.slots()) {
    const at::Tensor gradient = FlatParams::View(params.gradients(), slot);
    if (slot.name == "frozen.weight") {
      EXPECT_EQ(gradient.abs().sum().item<float>(), 0);
      continue;
    }
    EXPECT_TRUE(torch::equal(gradient, expected[i++])) << slot.name;
  }
  Loss(net).backward();  // adds to them
  EXPECT_TRUE(torch::equal(FlatParams::View(params.gradients(), params.slots().back()), expected.back() * 2));
}

TEST_F(FlatParamsTest, ZeroGradKeepsTheViews) {
  Net net;
  FlatParams params(net);
  Loss(net).backward();
  params.ZeroGrad();
  EXPECT_EQ(params.gradients().abs().sum().item<float>(), 0);
  ExpectAllAreViews(params, net);
  EXPECT_EQ(params.Readopt(), 0);
}

TEST_F(FlatParamsTest, ChannelsLastStaysChannelsLast) {
  Net net;
  const at::Tensor before = net.parameters()[0].detach().clone();
  const FlatParams params(net);
  const at::Tensor weight = net.parameters()[0];
  EXPECT_TRUE(weight.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_EQ(weight.strides(), before.strides());
  EXPECT_EQ(params.slots()[0].strides, before.strides().vec());
  Loss(net).backward();
  EXPECT_EQ(weight.grad().strides(), before.strides());
}

TEST_F(FlatParamsTest, AParameterWithGapsInMemoryBecomesDense) {
  Shapes module({{4, 6}});
  const at::Tensor wide = torch::randn({4, 12});
  module.parameters()[0].set_data(wide.slice(1, 0, 12, 2));
  const FlatParams params(module);
  EXPECT_EQ(params.slots()[0].strides, (std::vector<std::int64_t>{6, 1}));
  EXPECT_TRUE(torch::equal(module.parameters()[0], wide.slice(1, 0, 12, 2)));
}

TEST_F(FlatParamsTest, PaddingStaysZeroThroughTraining) {
  Net net;
  FlatParams params(net);
  torch::optim::SGD optimizer(net.parameters(),
                              torch::optim::SGDOptions(0.1).momentum(0.9).weight_decay(0.1));
  for (int step = 0; step < 3; ++step) {
    params.ZeroGrad();
    Loss(net).backward();
    optimizer.step();
  }
  EXPECT_EQ(Padding(params, params.weights()).abs().sum().item<float>(), 0);
  EXPECT_EQ(Padding(params, params.gradients()).abs().sum().item<float>(), 0);
}

TEST_F(FlatParamsTest, NothingStraysInOrdinaryTraining) {
  Net net;
  FlatParams params(net);
  torch::optim::SGD optimizer(net.parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  for (int step = 0; step < 3; ++step) {
    optimizer.zero_grad();  // must not throw on the views, and must not drop them
    EXPECT_EQ(params.gradients().abs().sum().item<float>(), 0);
    EXPECT_EQ(params.Readopt(), 0);
    Loss(net).backward();
    EXPECT_EQ(params.Readopt(), 0);
    optimizer.step();
    EXPECT_EQ(params.Readopt(), 0);
  }
  ExpectAllAreViews(params, net);
}

TEST_F(FlatParamsTest, AnEmptyParameterDoesNotStray) {
  Shapes module({{3}, {0, 4}, {2}});
  FlatParams params(module);
  EXPECT_EQ(params.Readopt(), 0);
  module.parameters()[2].sum().backward();
  EXPECT_EQ(params.Readopt(), 0);
}

TEST_F(FlatParamsTest, ReadoptTakesBackGradientsThatWereSetToNone) {
  Net net;
  FlatParams params(net);
  Loss(net).backward();
  const at::Tensor expected = params.gradients().clone();

  net.zero_grad(/*set_to_none=*/true);
  EXPECT_EQ(params.Readopt(), 5);  // six parameters, one of them frozen
  EXPECT_EQ(params.gradients().abs().sum().item<float>(), 0);
  ExpectAllAreViews(params, net);

  net.zero_grad(/*set_to_none=*/true);
  Loss(net).backward();  // into tensors of autograd's own
  EXPECT_EQ(params.Readopt(), 5);
  EXPECT_TRUE(torch::equal(params.gradients(), expected));
  ExpectAllAreViews(params, net);
  EXPECT_EQ(params.Readopt(), 0);
}

TEST_F(FlatParamsTest, ReadoptTakesBackReplacedData) {
  Net net;
  FlatParams params(net);
  const at::Tensor first = torch::randn({5, 3, 3, 3}), last = torch::randn({3});
  net.parameters().front().set_data(first.clone());
  net.parameters().back().set_data(last.clone());
  EXPECT_EQ(params.Readopt(), 2);
  ExpectAllAreViews(params, net);
  EXPECT_TRUE(torch::equal(net.parameters().front(), first));
  EXPECT_TRUE(net.parameters().front().is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(torch::equal(net.parameters().back(), last));
  EXPECT_EQ(Padding(params, params.weights()).abs().sum().item<float>(), 0);
}

TEST_F(FlatParamsTest, ReadoptGivesAGradientToAParameterThatWasThawed) {
  Net net;
  FlatParams params(net);
  net.named_parameters()["frozen.weight"].set_requires_grad(true);
  EXPECT_EQ(params.Readopt(), 1);
  ExpectAllAreViews(params, net);
}

TEST_F(FlatParamsTest, ReadoptRefusesAnotherShape) {
  Net net;
  FlatParams params(net);
  net.parameters().back().set_data(torch::randn({4}));
  const std::string message = MessageOf<UsageError>([&] { params.Readopt(); });
  EXPECT_NE(message.find("'last.bias'"), std::string::npos) << message;
  EXPECT_NE(message.find("shape"), std::string::npos) << message;
}

TEST_F(FlatParamsTest, ReadoptRefusesAnotherType) {
  Net net;
  FlatParams params(net);
  net.to(torch::kDouble);
  const std::string message = MessageOf<UsageError>([&] { params.Readopt(); });
  EXPECT_NE(message.find("'conv.weight' is Double"), std::string::npos) << message;
}

TEST_F(FlatParamsTest, RefusesAModuleWithoutParameters) {
  torch::nn::ReLU module;
  EXPECT_NE(MessageOf<UsageError>([&] { FlatParams params(*module); }).find("no parameters"),
            std::string::npos);
}

TEST_F(FlatParamsTest, RefusesParametersThatAreNotFloat) {
  torch::nn::Linear module(2, 2);
  module->bias.set_data(torch::zeros({2}, torch::kDouble));
  const std::string message = MessageOf<UsageError>([&] { FlatParams params(*module); });
  EXPECT_NE(message.find("'bias' is Double"), std::string::npos) << message;
}

TEST_F(FlatParamsTest, TrainingIsTheSameToTheBit) {
  torch::manual_seed(3);
  Net plain;
  torch::manual_seed(3);
  Net flat;
  FlatParams params(flat);
  const auto options = torch::optim::SGDOptions(0.1).momentum(0.9).weight_decay(0.01).nesterov(true);
  torch::optim::SGD plain_optimizer(plain.parameters(), options), flat_optimizer(flat.parameters(), options);
  for (int step = 0; step < 20; ++step) {
    plain_optimizer.zero_grad();
    params.ZeroGrad();
    torch::manual_seed(100 + step);
    const at::Tensor images = torch::randn({8, 3, 6, 6});
    plain.forward(images).square().mean().backward();
    flat.forward(images).square().mean().backward();
    plain_optimizer.step();
    flat_optimizer.step();
  }
  for (std::size_t i = 0; i < params.slots().size(); ++i) {
    EXPECT_TRUE(torch::equal(flat.parameters()[i], plain.parameters()[i])) << params.slots()[i].name;
  }
}

// Two kinds of buffers around a BatchNorm.
struct NetWithBuffers : torch::nn::Module {
  torch::nn::Linear linear = register_module("linear", torch::nn::Linear(2, 3));
  torch::nn::BatchNorm1d norm = register_module("norm", torch::nn::BatchNorm1d(3));
  at::Tensor twice = register_buffer("twice", torch::ones({2}, at::kDouble));
};

TEST_F(FlatParamsTest, FloatBuffersLieInATensorOfTheirOwn) {
  NetWithBuffers net;
  net.norm->running_mean.copy_(torch::tensor({1.0f, 2.0f, 3.0f}));
  FlatParams params(net);
  ASSERT_EQ(params.buffers().numel(), 32);
  EXPECT_TRUE(params.buffers().slice(0, 0, 3).equal(torch::tensor({1.0f, 2.0f, 3.0f})));
  EXPECT_TRUE(params.buffers().slice(0, 16, 19).equal(torch::ones({3})));
  EXPECT_EQ(params.num_params(), 15);

  net.norm->forward(torch::full({4, 3}, 10.0f));  // a running mean of the old and a tenth of 10
  EXPECT_TRUE(params.buffers().slice(0, 0, 3).allclose(torch::tensor({1.9f, 2.8f, 3.7f})));
  params.buffers().fill_(5);
  EXPECT_TRUE(net.norm->running_var.equal(torch::full({3}, 5.0f)));
  EXPECT_EQ(net.norm->num_batches_tracked.item<std::int64_t>(), 1);
  EXPECT_TRUE(net.twice.equal(torch::ones({2}, at::kDouble)));
}

TEST_F(FlatParamsTest, AModuleWithoutBuffersHasNone) {
  torch::nn::Linear module(2, 3);
  EXPECT_EQ(FlatParams(*module).buffers().numel(), 0);
}

TEST_F(FlatParamsTest, ReadoptTakesBuffersBack) {
  NetWithBuffers net;
  FlatParams params(net);
  net.norm->running_var.set_data(torch::full({3}, 7.0f));
  EXPECT_EQ(params.Readopt(), 1);
  EXPECT_TRUE(params.buffers().slice(0, 16, 19).equal(torch::full({3}, 7.0f)));
  params.buffers().fill_(2);
  EXPECT_TRUE(net.norm->running_var.equal(torch::full({3}, 2.0f)));
}

TEST_F(FlatParamsTest, ClipsTheGradientsAsPyTorchDoes) {
  torch::nn::Linear module(3, 4);
  FlatParams params(*module);
  params.gradients().normal_();
  const double norm = params.gradients().norm().item<double>();
  const at::Tensor before = params.gradients().clone();
  params.ClipGradients(norm * 1.01);
  EXPECT_TRUE(params.gradients().equal(before));
  params.ClipGradients(norm / 4);
  EXPECT_TRUE(params.gradients().allclose(before / 4));
  params.gradients().fill_(std::numeric_limits<float>::infinity());
  params.ClipGradients(1);
  EXPECT_TRUE(params.gradients().isinf().all().item<bool>());
}

}  // namespace
}  // namespace swarmsync
