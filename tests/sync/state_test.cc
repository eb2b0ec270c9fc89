// What a synchronizer remembers, saved and loaded again.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <functional>

#include "support/errors.h"
#include "support/ranks.h"
#include "support/test_name.h"
#include "swarmsync/base/error.h"
#include "sync/worker.h"

namespace swarmsync {
namespace {

using testing::Batches;
using testing::Floats;
using ::testing::HasSubstr;
using testing::MessageOf;
using testing::SmallNet;

constexpr int kRanks = 3;

struct Variant {
  std::string name;
  std::function<void(SyncOptions&)> change;
  bool for_gradients = true;  // whether ssgd takes it
};

std::vector<Variant> Variants() {
  return {
      {"plain", [](SyncOptions&) {}},
      {"historic memory, random",
       [](SyncOptions& o) {
         o.swarm.memory = Memory::kHistoric;
         o.swarm.cognitive = 0.5;
         o.swarm.random = RandomScope::kElement;
       }},
      {"auto inertia", [](SyncOptions& o) { o.swarm.inertia = Inertia::Auto(); }},
      {"falling inertia", [](SyncOptions& o) { o.swarm.inertia = Inertia(0.8, 0.2); }},
      {"final average", [](SyncOptions& o) { o.final_average = 3; }},
      {"int8", [](SyncOptions& o) { o.wire = Wire::kInt8; }},
      {"warm-up", [](SyncOptions& o) { o.warmup_steps = 2; }},
      {"warm-up that lasts, int8",
       [](SyncOptions& o) {
         o.warmup_steps = 20;
         o.wire = Wire::kInt8;
       }},
      {"overlap", [](SyncOptions& o) { o.overlap = 2; }, false},
      {"guard", [](SyncOptions& o) { o.guard = true; }, false},
      {"momentum average", [](SyncOptions& o) { o.momentum_at_sync = MomentumAtSync::kAverage; }, false},
  };
}

// One worker: a network, its optimizer, its synchronizer.
class Part {
 public:
  Part(const std::string& name, const Variant& variant, Communicator& comm)
      : comm_(comm), optimizer_(net_.parameters(), torch::optim::SGDOptions(0.1).momentum(0.5)) {
    SyncOptions options;
    options.period = 3;
    options.total_steps = kSteps;
    options.trace = true;
    if (variant.for_gradients || name != "ssgd") variant.change(options);
    sync_ = MakeSynchronizer(name, params_, comm, options);
  }

  static constexpr int kSteps = 60;

  void Step() {
    params_.ZeroGrad();
    const at::Tensor loss = Batch().Loss(net_, sync_->steps(), comm_.rank());
    loss.backward();
    sync_->Step(optimizer_, loss);
  }
  // Takes one that has made no step to where this one is, through what is saved.
  void CopyTo(Part& other) {
    StateSaver saver;
    VisitState(saver);
    StateLoader loader(saver.Take(), "memory", at::kCPU);
    other.VisitState(loader);
  }
  void VisitState(StateVisitor& state) {
    sync_->VisitState(state);
    swarmsync::VisitState(state, optimizer_);
  }
  Synchronizer& sync() { return *sync_; }
  Floats weights() const { return testing::Values(params_, params_.weights()); }
  Floats FinalModel() {
    const at::Tensor out = params_.NewState();
    sync_->WriteFinalModel(out, {});
    return testing::Values(params_, out);
  }

 private:
  static const Batches& Batch() {
    static const Batches batches(kSteps, kRanks, 4);
    return batches;
  }

  Communicator& comm_;
  SmallNet net_;
  FlatParams params_{net_};
  torch::optim::SGD optimizer_;
  std::unique_ptr<Synchronizer> sync_;
};

class StateTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Names, StateTest, ::testing::ValuesIn(SynchronizerNames()),
                         [](const auto& info) { return testing::TestName(info.param); });

// At every step at which it may be saved, in the middle of rounds and of the inertia's lessons too.
TEST_P(StateTest, GoesOnToTheBit) {
  for (const Variant& variant : Variants()) {
    for (const int stop : {0, 1, 3, 5, 9, 24, 31}) {
      testing::RunRanks(kRanks, [&](Communicator& comm) {
        SCOPED_TRACE(variant.name + ", stopped at " + std::to_string(stop));
        // Each has a group of its own, since both may exchange at once.
        const auto other = comm.Split(0, 1);
        Part first(GetParam(), variant, comm), second(GetParam(), variant, *other);
        while (first.sync().steps() < stop) first.Step();
        while (first.sync().quiet_at() != first.sync().steps()) first.Step();
        first.CopyTo(second);
        EXPECT_EQ(second.sync().steps(), first.sync().steps());
        EXPECT_EQ(second.sync().rounds(), first.sync().rounds());
        for (int step = 0; step < 13; ++step) {
          first.Step();
          second.Step();
          ASSERT_EQ(second.weights(), first.weights()) << "after " << step + 1 << " steps";
        }
        first.sync().Drain();
        second.sync().Drain();
        EXPECT_EQ(second.FinalModel(), first.FinalModel());
        EXPECT_EQ(second.sync().rounds(), first.sync().rounds());
        EXPECT_EQ(second.sync().TakeTraces().size(), first.sync().TakeTraces().size());
      });
    }
  }
}

TEST_P(StateTest, OfAnotherWorldIsTakenTo) {
  for (const Variant& variant : Variants()) {
    SCOPED_TRACE(variant.name);
    std::vector<NamedTensors> saved(kRanks);
    testing::RunRanks(kRanks, [&](Communicator& comm) {
      Part part(GetParam(), variant, comm);
      while (part.sync().steps() < 12 || part.sync().quiet_at() != part.sync().steps()) part.Step();
      StateSaver saver;
      part.VisitState(saver);
      saved[static_cast<std::size_t>(comm.rank())] = saver.Take();
    });
    testing::RunRanks(2, [&](Communicator& comm) {
      Part part(GetParam(), variant, comm);
      StateLoader loader(saved[static_cast<std::size_t>(comm.rank())], "memory", at::kCPU,
                         /*same_world=*/false);
      part.VisitState(loader);
      part.sync().CountFrom(18);
      for (int step = 0; step < 7; ++step) part.Step();
      EXPECT_EQ(part.sync().steps(), 25);
      part.sync().Drain();
      for (const float value : part.FinalModel()) EXPECT_TRUE(std::isfinite(value));
    });
  }
}

// What is said to be the same on all ranks is.
TEST_P(StateTest, WhatAllHoldIsAlike) {
  for (const Variant& variant : Variants()) {
    testing::RunRanks(kRanks, [&](Communicator& comm) {
      SCOPED_TRACE(variant.name);
      Part part(GetParam(), variant, comm);
      for (int step = 0; step < 33; ++step) {
        part.Step();
        if (part.sync().quiet_at() != part.sync().steps()) continue;
        StateDigest digest;
        part.sync().VisitState(digest);
        std::string text;
        for (const auto& piece : digest.pieces()) text += fmt::format("{} {}\n", piece.name, piece.checksum);
        for (const std::string& other : comm.AllGather(text)) ASSERT_EQ(other, text) << "after " << step + 1;
      }
    });
  }
}

TEST(State, IsRefusedWhileAnExchangeIsUnderWay) {
  testing::RunRanks(kRanks, [](Communicator& comm) {
    Part part("average", Variants()[8], comm);
    for (int step = 0; step < 3; ++step) part.Step();
    StateSaver saver;
    EXPECT_THAT(MessageOf<UsageError>([&] { part.VisitState(saver); }), HasSubstr("Drain() comes first"));
    part.sync().Drain();
    part.VisitState(saver);
  });
}

TEST(State, OfAnotherAlgorithmIsNotTaken) {
  testing::RunRanks(kRanks, [](Communicator& comm) {
    Part average("average", Variants()[0], comm), easgd("easgd", Variants()[0], comm);
    StateSaver saver;
    average.VisitState(saver);
    StateLoader loader(saver.Take(), "the file", at::kCPU);
    EXPECT_THAT(MessageOf<DataError>([&] { easgd.VisitState(loader); }), HasSubstr("no 'sync.easgd.center'"));
  });
}

}  // namespace
}  // namespace swarmsync
