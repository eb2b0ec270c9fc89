// What an exchange does with the module's buffers and the optimizer's momentum, for every synchronizer.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "checkpoint/optimizer_state.h"
#include "support/ranks.h"
#include "support/test_name.h"
#include "swarmsync/sync/synchronizer.h"
#include "sync/momenta.h"
#include "sync/worker.h"

namespace swarmsync {
namespace {

using testing::Floats;
using testing::RunRanks;

// One weight that stays unless there is a learning rate, three float buffers, a counter, and an optimizer
// with momentum.
class Worker {
 public:
  explicit Worker(double lr = 0)
      : params_(module_), optimizer_(module_.parameters(), torch::optim::SGDOptions(lr).momentum(0.5)) {}

  FlatParams& params() { return params_; }
  void SetBuffers(float value) { module_.running.fill_(value); }
  float buffer() const { return module_.running[0].item<float>(); }
  std::int64_t counter() const { return module_.counter.item<std::int64_t>(); }

  // A step whose momentum becomes `gradient` when there was none.
  void Step(Synchronizer& sync, float gradient, double loss = 1) {
    params_.ZeroGrad();
    module_.weight.mutable_grad().fill_(gradient);
    module_.counter += 1;
    sync.Step(optimizer_, torch::full({}, loss, at::kDouble));
  }
  // NaN when the optimizer has none.
  float momentum() {
    if (optimizer_.state().empty()) return std::numeric_limits<float>::quiet_NaN();
    auto& state = static_cast<torch::optim::SGDParamState&>(*optimizer_.state().begin()->second);
    return state.momentum_buffer().item<float>();
  }
  float weight() const { return module_.weight.item<float>(); }
  torch::optim::SGD& optimizer() { return optimizer_; }

 private:
  struct Module : torch::nn::Module {
    at::Tensor weight = register_parameter("weight", torch::ones({1}));
    at::Tensor running = register_buffer("running", torch::zeros({3}));
    at::Tensor counter = register_buffer("counter", torch::zeros({}, at::kLong));
  };
  Module module_;
  FlatParams params_;
  torch::optim::SGD optimizer_;
};

SyncOptions Options(BuffersAtSync buffers, MomentumAtSync momentum = MomentumAtSync::kKeep) {
  SyncOptions options;
  options.period = 2;
  options.total_steps = 4;
  options.buffers = buffers;
  options.momentum_at_sync = momentum;
  options.final_average = 0;
  return options;
}

class PoliciesTest : public ::testing::TestWithParam<std::string> {
 protected:
  bool exchanges_weights() const { return GetParam() != "ssgd"; }

  // The buffers after an exchange of three workers, whose buffers were 1, 2 and 6 and of whom rank 1 was the
  // best.
  void ExpectBuffers(BuffersAtSync policy, const Floats& expected) {
    RunRanks(3, [&](Communicator& comm) {
      Worker worker;
      const auto sync = MakeSynchronizer(GetParam(), worker.params(), comm, Options(policy));
      const Floats before{1, 2, 6};
      worker.SetBuffers(before[comm.rank()]);
      for (int step = 0; step < 2; ++step) worker.Step(*sync, 1, comm.rank() == 1 ? 0.5 : 1);
      const float found = worker.buffer();
      EXPECT_EQ(found, exchanges_weights() ? expected[comm.rank()] : before[comm.rank()]);
      EXPECT_EQ(worker.counter(), 2) << "integers stay";

      // The final model has the mean of all, whatever the policy.
      const at::Tensor weights = worker.params().NewState(),
                       buffers = at::zeros_like(worker.params().buffers());
      sync->WriteFinalModel(weights, buffers);
      const std::vector<double> all = comm.AllGather(found);
      EXPECT_FLOAT_EQ(buffers[0].item<float>(), static_cast<float>((all[0] + all[1] + all[2]) / 3));
      EXPECT_EQ(worker.buffer(), found) << "the worker's own stay";
    });
  }
};
INSTANTIATE_TEST_SUITE_P(Names, PoliciesTest, ::testing::ValuesIn(SynchronizerNames()),
                         [](const auto& info) { return testing::TestName(info.param); });

TEST_P(PoliciesTest, BuffersBecomeTheMean) { ExpectBuffers(BuffersAtSync::kAverage, {3, 3, 3}); }
TEST_P(PoliciesTest, BuffersBecomeTheBestWorkers) { ExpectBuffers(BuffersAtSync::kGuide, {2, 2, 2}); }
TEST_P(PoliciesTest, BuffersStay) { ExpectBuffers(BuffersAtSync::kLocal, {1, 2, 6}); }

TEST_P(PoliciesTest, BuffersBeginAsRank0s) {
  RunRanks(3, [&](Communicator& comm) {
    Worker worker;
    worker.SetBuffers(static_cast<float>(5 + comm.rank()));
    MakeSynchronizer(GetParam(), worker.params(), comm, Options(BuffersAtSync::kLocal));
    EXPECT_EQ(worker.buffer(), 5);
  });
}

// A mean of running means is the running mean of the means, so who averages at every exchange and who
// averages at the end have the same final buffers.
TEST_P(PoliciesTest, AveragingAtTheExchangesAndAtTheEndAreTheSame) {
  RunRanks(3, [&](Communicator& comm) {
    Floats finals;
    for (const BuffersAtSync policy : {BuffersAtSync::kAverage, BuffersAtSync::kLocal}) {
      Worker worker;
      const auto sync = MakeSynchronizer(GetParam(), worker.params(), comm, Options(policy));
      for (int step = 0; step < 4; ++step) {
        const float seen = static_cast<float>(step * step + 3 * comm.rank());
        worker.SetBuffers(0.9f * worker.buffer() + 0.1f * seen);
        worker.Step(*sync, 1);
      }
      const at::Tensor weights = worker.params().NewState(),
                       buffers = at::zeros_like(worker.params().buffers());
      sync->WriteFinalModel(weights, buffers);
      finals.push_back(buffers[0].item<float>());
    }
    EXPECT_NEAR(finals[0], finals[1], 1e-6);
  });
}

TEST_P(PoliciesTest, BuffersThatAreNotFiniteSpoilNoMean) {
  RunRanks(3, [&](Communicator& comm) {
    Worker worker;
    const auto sync = MakeSynchronizer(GetParam(), worker.params(), comm, Options(BuffersAtSync::kAverage));
    const float infinite = std::numeric_limits<float>::infinity();
    worker.SetBuffers(comm.rank() == 0 ? infinite : 4);
    worker.params().buffers()[1].fill_(-infinite);  // on purpose, such as a mask
    for (int step = 0; step < 2; ++step) worker.Step(*sync, 1);
    const at::Tensor weights = worker.params().NewState(),
                     buffers = at::zeros_like(worker.params().buffers());
    sync->WriteFinalModel(weights, buffers);
    EXPECT_EQ(buffers[0].item<float>(), 4);
    EXPECT_EQ(buffers[1].item<float>(), -infinite);
  });
}

// ssgd's momentum is the same everywhere.
class MomentumPolicyTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Names, MomentumPolicyTest, ::testing::ValuesIn(testing::ExchangersOfWeights()),
                         [](const auto& info) { return testing::TestName(info.param); });

// Gradients 1, 2 and 6 twice make momenta of 1.5 times them.
TEST_P(MomentumPolicyTest, MomentumBecomesTheMean) {
  RunRanks(3, [&](Communicator& comm) {
    Worker worker;
    const auto sync = MakeSynchronizer(GetParam(), worker.params(), comm,
                                       Options(BuffersAtSync::kLocal, MomentumAtSync::kAverage));
    const Floats gradients{1, 2, 6};
    worker.Step(*sync, gradients[comm.rank()]);
    EXPECT_FLOAT_EQ(worker.momentum(), gradients[comm.rank()]);
    worker.Step(*sync, gradients[comm.rank()]);
    EXPECT_FLOAT_EQ(worker.momentum(), 4.5f);
  });
}

// Whatever the synchronizer makes of it.
TEST_P(MomentumPolicyTest, MomentumBecomesWhatTheMoveTells) {
  RunRanks(3, [&](Communicator& comm) {
    Worker worker(0.1);
    SyncOptions options = Options(BuffersAtSync::kLocal, MomentumAtSync::kMove);
    options.total_steps = 6;
    const auto sync = MakeSynchronizer(GetParam(), worker.params(), comm, options);
    for (int round = 0; round < 3; ++round) {
      const float begin = worker.weight();
      for (int step = 0; step < 2; ++step) worker.Step(*sync, static_cast<float>(1 + comm.rank()));
      EXPECT_NEAR(worker.momentum(), (begin - worker.weight()) / 0.2, 1e-5) << "round " << round;
    }
  });
}

TEST(MomentumOfMove, OfAnAverageIsTheMeanOverStepsAndWorkersByTheirRates) {
  RunRanks(3, [](Communicator& comm) {
    Worker worker(0.1);
    const auto sync = MakeSynchronizer("average", worker.params(), comm,
                                       Options(BuffersAtSync::kLocal, MomentumAtSync::kMove));
    const Floats gradients{1, 2, 6};  // 3 on average, and momenta of 1 and 1.5 times that
    worker.Step(*sync, gradients[comm.rank()]);
    worker.optimizer().param_groups()[0].options().set_lr(0.3);
    worker.Step(*sync, gradients[comm.rank()]);
    EXPECT_NEAR(worker.momentum(), (0.1 * 3 + 0.3 * 4.5) / 0.4, 1e-5);
  });
}

// Here the exchange of two steps is applied after a third.
TEST(MomentumOfMove, BesideTheTrainingItIsThatOfTheRoundWhoseExchangeLands) {
  RunRanks(3, [](Communicator& comm) {
    Worker worker(0.1);
    SyncOptions options = Options(BuffersAtSync::kLocal, MomentumAtSync::kMove);
    options.overlap = 1;
    const auto sync = MakeSynchronizer("average", worker.params(), comm, options);
    for (int step = 0; step < 3; ++step) worker.Step(*sync, static_cast<float>(1 + comm.rank()));
    EXPECT_NEAR(worker.momentum(), (2 + 3) / 2.0, 1e-5);
    worker.Step(*sync, static_cast<float>(1 + comm.rank()));
    // The second round's steps have 1.75 times the gradient and half of 2.5 and the gradient.
    EXPECT_NEAR(worker.momentum(), (1.75 * 2 + 2.5 / 2 + 2) / 2, 1e-5);
  });
}

// An exchange that fails is made up for by a later one. A group of parameters whose rate is 0 keeps its
// momentum.
TEST(MomentumOfMove, CountsAllStepsOfTheMoveByGroup) {
  testing::HandDrivenWorker worker({1, 1});
  const auto parameters = worker.parameters();
  torch::optim::SGD optimizer({torch::optim::OptimizerParamGroup({parameters[0]}),
                               torch::optim::OptimizerParamGroup({parameters[1]})},
                              torch::optim::SGDOptions(0.1).momentum(0.5));
  optimizer.param_groups()[0].options().set_lr(0);
  MomentumOfMove momentum(worker.params().weights());
  for (int step = 0; step < 2; ++step) {  // momenta of 2 and 3
    worker.SetGradients({2, 2});
    optimizer.step();
    momentum.CountStep(optimizer);
    momentum.EndRound();
  }
  momentum.Set(&optimizer);
  const auto of = [&](int i) {
    return static_cast<torch::optim::SGDParamState&>(*ParamStateOf(optimizer, parameters[i]))
        .momentum_buffer()
        .item<float>();
  };
  EXPECT_FLOAT_EQ(of(0), 3);
  EXPECT_FLOAT_EQ(of(1), 2.5);
}

TEST(MomentumOfMove, LeavesAnOptimizerWithoutMomentumAlone) {
  RunRanks(2, [](Communicator& comm) {
    testing::Faller faller(comm.rank() == 0 ? 1 : 2);
    const auto sync = MakeSynchronizer("average", faller.params(), comm,
                                       Options(BuffersAtSync::kLocal, MomentumAtSync::kMove));
    for (int step = 0; step < 4; ++step) faller.Step(*sync);
    EXPECT_EQ(faller.weight(), -6);
  });
}

TEST_P(MomentumPolicyTest, WorkersThatEndEarlierTakePartInTheMean) {
  RunRanks(3, [&](Communicator& comm) {
    Worker worker;
    SyncOptions options = Options(BuffersAtSync::kAverage, MomentumAtSync::kAverage);
    options.total_steps = 0;
    const auto sync = MakeSynchronizer(GetParam(), worker.params(), comm, options);
    for (int step = 0; step < 3 + 2 * comm.rank(); ++step)
      worker.Step(*sync, static_cast<float>(comm.rank() + 1));
    sync->Finish();
    EXPECT_TRUE(comm.rank() != 2 || std::isfinite(worker.momentum()));
  });
}

TEST(ClipGradNorm, ScalesTheExchangedGradient) {
  RunRanks(2, [](Communicator& comm) {
    for (const auto& [gradient, expected] : {std::pair{6.0f, 2.0f}, {1.0f, 1.0f}}) {
      Worker worker;
      SyncOptions options = Options(BuffersAtSync::kLocal);
      options.clip_grad_norm = 2;
      const auto sync = MakeSynchronizer("ssgd", worker.params(), comm, options);
      worker.Step(*sync, comm.rank() == 0 ? gradient - 1 : gradient + 1);
      EXPECT_FLOAT_EQ(worker.momentum(), expected);
    }
  });
}

TEST(Momenta, AdamsMomentsAreAveragedToo) {
  RunRanks(2, [](Communicator& comm) {
    const at::Tensor weight = torch::ones({2}).requires_grad_();
    torch::optim::AdamW optimizer({weight}, torch::optim::AdamWOptions(0.1));
    weight.mutable_grad() = torch::full({2}, comm.rank() == 0 ? 1.0f : 3.0f);
    optimizer.step();
    MomentaMean(comm, at::kFloat).Average(&optimizer, true);
    auto& state = static_cast<torch::optim::AdamWParamState&>(*optimizer.state().begin()->second);
    EXPECT_FLOAT_EQ(state.exp_avg()[0].item<float>(), 0.1f * 2);
    EXPECT_FLOAT_EQ(state.exp_avg_sq()[1].item<float>(), 0.001f * 5);
    EXPECT_EQ(state.step(), 1);
  });
}

TEST(Momenta, OneThatIsNotFiniteOrAbsentBringsNothing) {
  RunRanks(3, [](Communicator& comm) {
    Worker worker;
    const auto sync = MakeSynchronizer("average", worker.params(), comm, Options(BuffersAtSync::kLocal));
    const float infinite = std::numeric_limits<float>::infinity();
    if (comm.rank() != 2) worker.Step(*sync, comm.rank() == 0 ? 5 : infinite);
    MomentaMean(comm, at::kFloat).Average(comm.rank() == 2 ? nullptr : &worker.optimizer(), true);
    EXPECT_TRUE(comm.rank() == 2 || worker.momentum() == 5) << worker.momentum();
  });
}

}  // namespace
}  // namespace swarmsync
