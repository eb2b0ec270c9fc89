#include "swarmsync/checkpoint/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "checkpoint/object.h"
#include "support/errors.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MessageOf;
using testing::Object;

Object Full() {
  Object object;
  object.always = at::arange(6, at::kFloat).view({2, 3});
  object.perhaps = at::ones({4});
  object.real = std::nextafter(1.0, 2.0);
  object.whole = std::numeric_limits<std::int64_t>::min();
  object.word = 0xffffffff;
  object.flag = true;
  object.records = {{0.1, 1}, {std::numeric_limits<double>::infinity(), -2}};
  object.bytes = std::string("a\0b", 3);
  return object;
}

NamedTensors Saved(Object& object) {
  StateSaver saver;
  object.VisitState(saver);
  return saver.Take();
}

void Load(Object& object, NamedTensors tensors) {
  StateLoader loader(std::move(tensors), "the file", at::kCPU);
  object.VisitState(loader);
}

TEST(State, ComesBackToTheBit) {
  Object full = Full(), other;
  const void* const place = other.always.data_ptr();
  Load(other, Saved(full));
  EXPECT_TRUE(torch::equal(other.always, full.always));
  EXPECT_EQ(other.always.data_ptr(), place) << "others have views of it";
  EXPECT_TRUE(torch::equal(other.perhaps, full.perhaps));
  EXPECT_EQ(other.real, full.real);
  EXPECT_EQ(other.whole, full.whole);
  EXPECT_EQ(other.word, full.word);
  EXPECT_EQ(other.flag, full.flag);
  ASSERT_EQ(other.records.size(), 2u);
  EXPECT_EQ(other.records[1].number, full.records[1].number);
  EXPECT_EQ(other.records[1].count, -2);
  EXPECT_EQ(other.bytes, full.bytes);
}

TEST(State, WhatIsSavedIsACopy) {
  Object full = Full();
  const NamedTensors saved = Saved(full);
  full.always.fill_(7);
  EXPECT_EQ(saved[0].second.sum().item<float>(), 15);
  EXPECT_EQ(saved[0].first, "always");
  EXPECT_EQ(saved[2].first, "numbers.real");
}

TEST(State, OfNothingIsNothing) {
  Object empty, full = Full();
  full.perhaps = at::Tensor();
  Load(full, Saved(empty));
  EXPECT_FALSE(full.perhaps.defined());
  EXPECT_TRUE(full.records.empty());
  EXPECT_EQ(full.bytes, "");
}

TEST(State, WhatDoesNotFitIsNamed) {
  Object full = Full();
  for (const auto& [damage, expected] :
       std::vector<std::pair<std::function<void(NamedTensors&)>, std::vector<std::string>>>{
           {[](NamedTensors& tensors) { tensors.erase(tensors.begin()); }, {"the file", "no 'always'"}},
           {[](NamedTensors& tensors) {
              tensors[0].second = at::zeros({2, 4});
            },
            {"'always'", "[2, 4]", "[2, 3]"}},
           {[](NamedTensors& tensors) {
              tensors[0].second = at::zeros({2, 3}, at::kDouble);
            },
            {"Double", "Float"}},
           {[](NamedTensors& tensors) { tensors[2].second = at::zeros({1}, at::kDouble); },
            {"'numbers.real'"}},
           {[](NamedTensors& tensors) { tensors[1].second = at::zeros({5}); }, {"'perhaps'", "[5]"}},
           {[](NamedTensors& tensors) { tensors[1].second = at::zeros({4}, at::kLong); },
            {"'perhaps'", "Long"}},
           {[](NamedTensors& tensors) { tensors[6].second = at::zeros({17}, at::kByte); },
            {"'numbers.records'", "[17]"}},
           {[](NamedTensors& tensors) { tensors[7].second = at::zeros({3}); },
            {"'numbers.bytes'", "Float"}}}) {
    NamedTensors tensors = Saved(full);
    damage(tensors);
    Object other;
    const std::string message = MessageOf<DataError>([&] { Load(other, tensors); });
    for (const std::string& part : expected) EXPECT_THAT(message, HasSubstr(part));
  }
}

TEST(State, WhatAnObjectDoesNotHaveStaysAway) {
  Object full = Full(), other;
  NamedTensors tensors = Saved(full);
  tensors.emplace_back("never", at::zeros({1 << 20}));
  Load(other, tensors);
  EXPECT_FALSE(other.never.defined());
}

TEST(State, ADigestHasWhatAllHoldAlike) {
  Object one = Full(), other = Full();
  const auto digest = [](Object& object) {
    StateDigest digest;
    object.VisitState(digest);
    return digest.pieces();
  };
  const auto before = digest(one);
  ASSERT_EQ(before.size(), 2u);
  EXPECT_EQ(before[0].name, "always");
  EXPECT_EQ(before[1].name, "numbers.real");
  other.perhaps.zero_();
  EXPECT_EQ(digest(other)[0].checksum, before[0].checksum);
  other.always[1][2] = std::nextafter(5.0f, 6.0f);
  EXPECT_NE(digest(other)[0].checksum, before[0].checksum);
  EXPECT_EQ(digest(other)[1].checksum, before[1].checksum);
}

// Steps of f(w) = |w - 3|^2 / 2.
template <class Optimizer>
void Train(at::Tensor& weights, Optimizer& optimizer, int steps) {
  for (int step = 0; step < steps; ++step) {
    optimizer.zero_grad();
    (weights - 3).pow(2).sum().div(2).backward();
    optimizer.step();
  }
}

template <class Optimizer, class Options>
void ExpectGoesOnToTheBit(const Options& options) {
  at::Tensor first = torch::zeros({5}, torch::requires_grad()),
             second = torch::ones({5}, torch::requires_grad());
  Optimizer one({first}, options), other({second}, options);
  Train(first, one, 3);
  StateSaver saver;
  VisitState(saver, one);
  Train(second, other, 2);  // something is to be replaced
  {
    torch::NoGradGuard no_grad;
    second.copy_(first);
  }
  StateLoader loader(saver.Take(), "the file", at::kCPU);
  VisitState(loader, other);
  Train(first, one, 4);
  Train(second, other, 4);
  EXPECT_TRUE(torch::equal(first, second)) << first << second;
}

TEST(OptimizerState, GoesOnToTheBit) {
  ExpectGoesOnToTheBit<torch::optim::SGD>(torch::optim::SGDOptions(0.1));
  ExpectGoesOnToTheBit<torch::optim::SGD>(torch::optim::SGDOptions(0.1).momentum(0.9).nesterov(true));
  ExpectGoesOnToTheBit<torch::optim::Adam>(torch::optim::AdamOptions(0.1).amsgrad(true));
  ExpectGoesOnToTheBit<torch::optim::AdamW>(torch::optim::AdamWOptions(0.1));
}

TEST(OptimizerState, BeforeTheFirstStepIsNone) {
  at::Tensor weights = torch::zeros({5}, torch::requires_grad());
  torch::optim::SGD fresh({weights}, torch::optim::SGDOptions(0.1).momentum(0.9));
  StateSaver saver;
  VisitState(saver, fresh);
  torch::optim::SGD used({weights}, torch::optim::SGDOptions(0.1).momentum(0.9));
  Train(weights, used, 1);
  StateLoader loader(saver.Take(), "the file", at::kCPU);
  VisitState(loader, used);
  EXPECT_TRUE(used.state().empty());
}

// Or the next step would fail.
template <class Optimizer, class Options>
void ExpectRefusesWhatDoesNotFit(const Options& options, const std::vector<std::string>& needed) {
  at::Tensor weights = torch::zeros({5}, torch::requires_grad());
  Optimizer optimizer({weights}, options);
  Train(weights, optimizer, 1);
  StateSaver saver;
  VisitState(saver, optimizer);
  const NamedTensors saved = saver.Take();
  for (const std::string& name : needed) {
    const auto at = std::find_if(saved.begin(), saved.end(),
                                 [&](const auto& tensor) { return tensor.first == "optimizer.0." + name; });
    ASSERT_NE(at, saved.end()) << name;
    NamedTensors less = saved, other = saved;
    less.erase(less.begin() + (at - saved.begin()));
    other[at - saved.begin()].second = at::zeros({4});
    for (const NamedTensors& tensors : {less, other}) {
      StateLoader loader(tensors, "the file", at::kCPU);
      EXPECT_THAT(MessageOf<DataError>([&] { VisitState(loader, optimizer); }),
                  AllOf(HasSubstr("the file"), HasSubstr(name)));
    }
  }
}

TEST(OptimizerState, ThatDoesNotFitIsRefused) {
  ExpectRefusesWhatDoesNotFit<torch::optim::SGD>(torch::optim::SGDOptions(0.1).momentum(0.9), {"momentum"});
  ExpectRefusesWhatDoesNotFit<torch::optim::Adam>(torch::optim::AdamOptions(0.1).amsgrad(true),
                                                  {"first moment", "second moment", "largest second moment"});
  ExpectRefusesWhatDoesNotFit<torch::optim::AdamW>(torch::optim::AdamWOptions(0.1),
                                                   {"first moment", "second moment"});
}

TEST(OptimizerState, OfAnUnknownOptimizerIsRefused) {
  at::Tensor weights = torch::zeros({5}, torch::requires_grad());
  torch::optim::RMSprop optimizer({weights}, torch::optim::RMSpropOptions(0.1));
  StateSaver saver;
  EXPECT_THAT(MessageOf<UsageError>([&] { VisitState(saver, optimizer); }), HasSubstr("cannot be saved"));
}

}  // namespace
}  // namespace swarmsync
