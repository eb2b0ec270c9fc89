// Gradients that are sent while backward() still runs (Synchronizer::ExpectGradients()).

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "support/errors.h"
#include "support/ranks.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"
#include "swarmsync/comm/counting_communicator.h"
#include "swarmsync/sync/synchronizer.h"
#include "sync/gradient_buckets.h"
#include "sync/worker.h"

namespace swarmsync {
namespace {

using testing::Batches;
using testing::Faller;
using testing::Floats;
using testing::FromRanks;
using testing::MessageOf;
using testing::RunRanks;
using testing::SmallNet;
using testing::Values;

// A bucket for each parameter of a SmallNet.
SyncOptions Buckets() {
  SyncOptions options;
  options.bucket_bytes = 1;
  return options;
}

// Weights after some steps, by rank. expects: whether a rank sends while backward() runs.
template <class Expects>
std::vector<Floats> Trained(Expects&& expects, const std::string& name = "ssgd",
                            const SyncOptions& options = Buckets()) {
  constexpr int kWorkers = 3;
  constexpr std::int64_t kSteps = 5;
  const Batches batches(kSteps, kWorkers, 4);
  return FromRanks(kWorkers, [&](Communicator& comm) {
    SmallNet net(1);
    FlatParams params(net);
    torch::optim::SGD optimizer(net.parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
    const auto sync = MakeSynchronizer(name, params, comm, options);
    for (std::int64_t step = 0; step < kSteps; ++step) {
      params.ZeroGrad();
      const at::Tensor loss = batches.Loss(net, step, comm.rank());
      if (expects(comm.rank(), step)) {
        EXPECT_TRUE(sync->ExpectGradients());
      }
      loss.backward();
      sync->Step(optimizer, loss.detach());
    }
    sync->Finish();
    return Values(params, params.weights());
  });
}

TEST(Buckets, SendingEarlyChangesNoBit) {
  SyncOptions one_bucket;
  const auto expected = Trained([](int, std::int64_t) { return false; }, "ssgd", one_bucket);
  EXPECT_EQ(Trained([](int, std::int64_t) { return false; }), expected);
  EXPECT_EQ(Trained([](int, std::int64_t) { return true; }), expected);
  EXPECT_EQ(Trained([](int rank, std::int64_t step) { return (rank + step) % 2 == 0; }), expected)
      << "some ranks at some steps";
}

TEST(Buckets, ServeTheWarmUpOfTheOthersAndNotTheirRounds) {
  SyncOptions options = Buckets();
  options.warmup_steps = 3;
  options.period = 2;
  const auto early = [](int, std::int64_t step) { return step < 3; };
  EXPECT_EQ(Trained(early, "average", options),
            Trained([](int, std::int64_t) { return false; }, "average", options));
  options.warmup_steps = 0;
  RunRanks(2, [&](Communicator& comm) {
    SmallNet net;
    FlatParams params(net);
    EXPECT_FALSE(MakeSynchronizer("average", params, comm, options)->ExpectGradients());
  });
}

// Passes on, and tells how many all-reduces have come.
class Watched : public CountingCommunicator {
 public:
  using CountingCommunicator::CountingCommunicator;
  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override {
    CountingCommunicator::AllReduce(in, factors, out);
    ++done;
  }
  std::atomic<int> done{0};
};

TEST(Buckets, AreSentBeforeBackwardHasEnded) {
  RunRanks(2, [](Communicator& comm) {
    Watched watched(comm);
    SmallNet net;
    FlatParams params(net);
    torch::optim::SGD optimizer(net.parameters(), 0.1);
    const auto sync = MakeSynchronizer("ssgd", params, watched, Buckets());
    EXPECT_TRUE(sync->ExpectGradients());
    EXPECT_EQ(watched.done, 0);
    // The first layer's gradients come last; before they do, the others' are waited for here.
    net.parameters()[0].register_hook([&](const at::Tensor& gradient) {
      const double deadline = MonotonicSeconds() + 20;
      while (watched.done < 2 && MonotonicSeconds() < deadline) std::this_thread::yield();
      EXPECT_GE(watched.done, 2);
      return gradient;
    });
    const Batches batches(1, 2, 4);
    batches.Loss(net, 0, comm.rank()).backward();
    sync->Step(optimizer, torch::ones({}));
    EXPECT_EQ(watched.done, 4);
  });
}

TEST(Buckets, AParameterWithoutAGradientHoldsNothingBack) {
  RunRanks(2, [](Communicator& comm) {
    testing::HandDrivenWorker worker({4, 4, 4});
    const auto sync = MakeSynchronizer("ssgd", worker.params(), comm, Buckets());
    torch::optim::SGD optimizer(worker.parameters(), 1.0);
    worker.params().ZeroGrad();
    EXPECT_TRUE(sync->ExpectGradients());
    (worker.parameters()[1] * (comm.rank() + 1)).sum().backward();
    sync->Step(optimizer, torch::ones({}));
    EXPECT_EQ(worker.weights(), (Floats{0, 0, 0, 0, -1.5, -1.5, -1.5, -1.5, 0, 0, 0, 0}));
  });
}

// The others' steps go on after a worker has finished.
TEST(Buckets, AWorkerThatHasFinishedSendsZeros) {
  RunRanks(2, [](Communicator& comm) {
    testing::HandDrivenWorker worker({4, 4});
    const auto sync = MakeSynchronizer("ssgd", worker.params(), comm, Buckets());
    torch::optim::SGD optimizer(worker.parameters(), 1.0);
    for (int step = 0; step < comm.rank() + 1; ++step) {
      worker.params().ZeroGrad();
      EXPECT_TRUE(sync->ExpectGradients());
      (worker.parameters()[0].sum() + 2 * worker.parameters()[1].sum()).backward();
      sync->Step(optimizer, torch::ones({}));
    }
    sync->Finish();
    EXPECT_EQ(worker.weights(), (Floats{-2, -2, -2, -2, -4, -4, -4, -4}));
  });
}

TEST(Buckets, GradientsThatStrayedAreTakenBackFirst) {
  RunRanks(2, [](Communicator& comm) {
    SmallNet net;
    FlatParams params(net);
    torch::optim::SGD optimizer(net.parameters(), 0.1);
    const auto sync = MakeSynchronizer("ssgd", params, comm, Buckets());
    const Batches batches(1, 2, 4);
    for (at::Tensor& parameter : net.parameters()) parameter.mutable_grad() = at::Tensor();
    EXPECT_TRUE(sync->ExpectGradients());
    batches.Loss(net, 0, comm.rank()).backward();
    EXPECT_EQ(params.Readopt(), 0);
    sync->Step(optimizer, torch::ones({}));
    const std::vector<double> all = comm.AllGather(params.weights().sum().item<double>());
    EXPECT_EQ(all[0], all[1]);
  });
}

// What is refused leaves the ranks at different places, so these tests have a world each, and do not wait
// long for ranks that have given up.
constexpr std::chrono::seconds kShort{5};

TEST(Buckets, GradientsThatStrayAfterTheAnnouncementAreRefused) {
  for (const bool in_step : {false, true}) {
    ThreadWorld world(2, kShort);
    world.Run([&](int rank) {
      const auto comm = world.Connect(rank);
      SmallNet net;
      FlatParams params(net);
      torch::optim::SGD optimizer(net.parameters(), 0.1);
      const auto sync = MakeSynchronizer("ssgd", params, *comm, Buckets());
      EXPECT_TRUE(sync->ExpectGradients());
      net.parameters()[0].mutable_grad() = at::Tensor();  // zero_grad() of libtorch 2.x
      const auto use = [&] {
        if (in_step) return sync->Step(optimizer, torch::ones({}));
        Batches(1, 2, 4).Loss(net, 0, rank).backward();
      };
      EXPECT_EQ(MessageOf<UsageError>(use),
                "parameter 'first.weight' has got another gradient tensor since ExpectGradients(); call "
                "zero_grad() before it");
    });
  }
}

// Fine-tuning thaws layers one after another.
TEST(Buckets, ParametersMayBeFrozenAndThawed) {
  RunRanks(2, [](Communicator& comm) {
    testing::HandDrivenWorker worker({4, 4, 4});
    std::vector<at::Tensor> parameters = worker.parameters();
    SyncOptions options = Buckets();
    options.bucket_bytes = 100;  // the last two together
    const auto sync = MakeSynchronizer("ssgd", worker.params(), comm, options);
    torch::optim::SGD optimizer(parameters, 1.0);
    for (const int frozen : {2, -1, 1}) {
      for (int i = 0; i < 3; ++i) parameters[static_cast<std::size_t>(i)].set_requires_grad(i != frozen);
      worker.params().ZeroGrad();
      worker.SetWeights(Floats(12));
      EXPECT_TRUE(sync->ExpectGradients());
      at::Tensor sum = torch::zeros({});
      for (const at::Tensor& parameter : parameters) sum = sum + parameter.sum() * (comm.rank() + 1);
      sum.backward();
      sync->Step(optimizer, torch::ones({}));
      for (int i = 0; i < 12; ++i) EXPECT_FLOAT_EQ(worker.weights()[i], i / 4 == frozen ? 0 : -1.5) << frozen;
    }
  });
}

TEST(Buckets, StepComesNext) {
  RunRanks(2, [](Communicator& comm) {
    SmallNet net;
    FlatParams params(net);
    SyncOptions options = Buckets();
    options.total_steps = 1;
    const auto sync = MakeSynchronizer("ssgd", params, comm, options);
    EXPECT_TRUE(sync->ExpectGradients());
    EXPECT_EQ(MessageOf<UsageError>([&] { sync->Finish(); }),
              "Finish() was called after ExpectGradients(); Step() comes first");
    torch::optim::SGD optimizer(net.parameters(), 0.1);
    sync->Step(optimizer, torch::ones({}));
    EXPECT_FALSE(sync->ExpectGradients()) << "the training is over";
  });
}

TEST(Buckets, TwoBackwardsAfterTheAnnouncementAreRefused) {
  ThreadWorld world(2, kShort);
  world.Run([&](int rank) {
    const auto comm = world.Connect(rank);
    SmallNet net;
    FlatParams params(net);
    const auto sync = MakeSynchronizer("ssgd", params, *comm, Buckets());
    const Batches batches(1, 2, 4);
    EXPECT_TRUE(sync->ExpectGradients());
    batches.Loss(net, 0, rank).backward();
    EXPECT_NE(MessageOf<UsageError>([&] { batches.Loss(net, 0, rank).backward(); }).find("for a second time"),
              std::string::npos);
    EXPECT_EQ(MessageOf<UsageError>([&] { sync->ExpectGradients(); }),
              "ExpectGradients() was called twice before Step()");
  });
}

TEST(Buckets, WhatFailsFailsTheStep) {
  ThreadWorld world(2, std::chrono::milliseconds(200));
  const auto comm = world.Connect(0);
  SmallNet net;
  FlatParams params(net);
  GradientBuckets buckets(params, 1);
  EXPECT_EQ(buckets.size(), 4u);
  buckets.Expect(*comm);
  const Batches batches(1, 2, 4);
  batches.Loss(net, 0, 0).backward();
  EXPECT_EQ(MessageOf<CommError>([&] { buckets.Sum(*comm); }), "rank 0 waited 0.2 s for rank 1");
}

// Without this the destructor would wait for gradients that never come.
TEST(Buckets, CanBeGivenUp) {
  ThreadWorld world(2);
  const auto comm = world.Connect(0);
  SmallNet net;
  FlatParams params(net);
  {
    GradientBuckets buckets(params, 1);
    buckets.Expect(*comm);
  }
  const Batches batches(1, 2, 4);
  batches.Loss(net, 0, 0).backward();  // nobody watches any more
}

TEST(Buckets, HoldWholeParametersFromTheLastOn) {
  const auto number = [](std::int64_t bytes) {
    testing::HandDrivenWorker worker({16, 16, 160, 3});
    return GradientBuckets(worker.params(), bytes).size();
  };
  EXPECT_EQ(number(1), 4u);
  EXPECT_EQ(number(64), 4u) << "3 numbers take 16, and the count one more";
  EXPECT_EQ(number(100), 2u) << "the last two, and the first two";
  EXPECT_EQ(number(100'000), 1u);
}

}  // namespace
}  // namespace swarmsync
