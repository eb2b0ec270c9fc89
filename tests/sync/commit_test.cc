// Exchanges in which a rank fails: applied by all or by none.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <atomic>

#include "comm/passing_communicator.h"
#include "support/test_name.h"
#include "swarmsync/base/error.h"
#include "swarmsync/comm/thread_world.h"
#include "sync/part.h"

namespace swarmsync {
namespace {

using testing::Floats;
using testing::kRanks;
using testing::Part;
using testing::Variant;
using testing::Variants;

// Fails behind a collective of one's choice, whose numbers others may have got.
class Failing final : public PassingCommunicator {
 public:
  using PassingCommunicator::PassingCommunicator;

  void FailBehind(int collectives) { left_ = collectives; }

  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override {
    PassingCommunicator::AllReduce(in, factors, out);
    Count();
  }
  void Broadcast(const at::Tensor& inout, int root) override {
    PassingCommunicator::Broadcast(inout, root);
    Count();
  }
  void AllGatherBytes(const void* mine, std::size_t bytes, void* all) override {
    PassingCommunicator::AllGatherBytes(mine, bytes, all);
    Count();
  }
  void AllToAllBytes(const void* mine, std::size_t bytes, void* all) override {
    PassingCommunicator::AllToAllBytes(mine, bytes, all);
    Count();
  }

 private:
  void Count() {
    if (left_ > 0 && --left_ == 0) throw CommError("a failure that was asked for");
  }

  int left_ = 0;
};

// Three workers that train until one of them fails.
class Crew {
 public:
  Crew(const std::string& name, const Variant& variant) {
    world_.Run([&](int rank) {
      inner_[rank] = world_.Connect(rank);
      comms_[rank] = std::make_unique<Failing>(*inner_[rank]);
      parts_[rank] = std::make_unique<Part>(name, variant, *comms_[rank]);
    });
  }

  void TrainUpTo(int step) {
    world_.Run([&](int rank) {
      while (parts_[rank]->sync().steps() < step) parts_[rank]->Step();
    });
  }

  // Up to the step `step`, then until rank 1 fails behind so many more collectives, or an exchange is over.
  // Returns whether it failed.
  bool TrainAndFail(int step, int collectives) {
    std::atomic<bool> failed = false;
    world_.Run([&](int rank) {
      Part& part = *parts_[rank];
      while (part.sync().steps() < step) part.Step();
      const std::int64_t applied = part.sync().applied();
      before_[rank] = Now(rank);
      if (rank == 1) comms_[rank]->FailBehind(collectives);
      try {
        do {
          part.Step();
        } while (part.sync().quiet_at() != part.sync().steps() || part.sync().applied() == applied);
      } catch (const CommError&) {
        failed = true;
        world_.Abort("another rank has failed");
      }
    });
    return failed;
  }

  // All together as they are, without a communicator.
  struct State {
    Floats weights;
    std::string alike;  // what all hold
  };
  State Now(int rank) {
    StateDigest digest;
    parts_[rank]->sync().VisitState(digest);
    State state{parts_[rank]->weights(), ""};
    for (const auto& [name, checksum] : digest.pieces())
      state.alike += fmt::format("{} {}\n", name, checksum);
    return state;
  }
  const State& before(int rank) const { return before_[rank]; }
  Part& part(int rank) { return *parts_[rank]; }

 private:
  ThreadWorld world_{kRanks};
  std::vector<std::unique_ptr<Communicator>> inner_ = std::vector<std::unique_ptr<Communicator>>(kRanks);
  std::vector<std::unique_ptr<Failing>> comms_ = std::vector<std::unique_ptr<Failing>>(kRanks);
  std::vector<std::unique_ptr<Part>> parts_ = std::vector<std::unique_ptr<Part>>(kRanks);
  std::vector<State> before_ = std::vector<State>(kRanks);
};

class CommitTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Names, CommitTest, ::testing::ValuesIn(testing::ExchangersOfWeights()),
                         [](const auto& info) { return testing::TestName(info.param); });

TEST_P(CommitTest, AnExchangeIsAppliedByAllOrByNone) {
  for (const Variant& variant : Variants()) {
    if (variant.name == "warm-up that lasts, int8") continue;  // no exchange of weights
    int dropped = 0, finished = 0;
    for (int collectives = 1;; ++collectives) {
      SCOPED_TRACE(fmt::format("{}, rank 1 fails behind {} collectives", variant.name, collectives));
      constexpr int kStep = 23;  // the next one ends a round, in which an inertia is learned
      Crew crew(GetParam(), variant);
      if (!crew.TrainAndFail(kStep, collectives)) break;
      std::int64_t most = 0, least = 1000;
      for (int rank = 0; rank < kRanks; ++rank) {
        most = std::max(most, crew.part(rank).sync().applied());
        least = std::min(least, crew.part(rank).sync().applied());
      }
      ASSERT_LE(most - least, 1);
      const bool applied = most > crew.part(1).sync().applied() || most > least;
      for (int rank = 0; rank < kRanks; ++rank) {
        Synchronizer& sync = crew.part(rank).sync();
        if (sync.applied() == most) continue;
        ASSERT_TRUE(sync.prepared()) << "rank " << rank << " cannot do what others have done";
        sync.ApplyPrepared();
        EXPECT_EQ(sync.applied(), most);
      }
      ++(applied ? finished : dropped);
      for (int rank = 0; rank < kRanks; ++rank) {
        EXPECT_EQ(crew.Now(rank).alike, crew.Now(0).alike) << "rank " << rank;
      }
    }
    EXPECT_GT(dropped, 0) << variant.name;
    EXPECT_GT(finished, 0) << variant.name;
  }
}

TEST_P(CommitTest, AnExchangeThatIsDroppedLeavesTheLocalSteps) {
  const Variant variant = Variants()[1];
  Crew alone(GetParam(), {"", [](SyncOptions& options) { options.period = 50; }});
  alone.TrainUpTo(3);
  for (int collectives = 1;; ++collectives) {
    SCOPED_TRACE(collectives);
    Crew crew(GetParam(), variant);
    if (!crew.TrainAndFail(2, collectives)) break;
    for (int rank = 0; rank < kRanks; ++rank) {
      if (crew.part(rank).sync().applied() > 0) continue;
      EXPECT_EQ(crew.Now(rank).alike, crew.before(rank).alike);
      EXPECT_EQ(crew.Now(rank).weights, alone.Now(rank).weights);
    }
  }
}

}  // namespace
}  // namespace swarmsync
