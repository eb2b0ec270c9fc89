// Exchanges that run while the next steps are made.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "support/errors.h"
#include "support/ranks.h"
#include "support/test_name.h"
#include "swarmsync/base/error.h"
#include "swarmsync/comm/link.h"
#include "swarmsync/sync/replay.h"
#include "sync/worker.h"

namespace swarmsync {
namespace {

using testing::Faller;
using testing::HandDrivenWorker;
using testing::MessageOf;

class OverlapTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Names, OverlapTest, ::testing::ValuesIn(testing::ExchangersOfWeights()),
                         [](const auto& info) { return testing::TestName(info.param); });

// Replay makes no steps between an exchange and its end.
TEST_P(OverlapTest, WithoutDelayIsTheBlockingExchangeToTheBit) {
  const auto positions = [&](std::int64_t overlap) {
    SyncOptions options;
    options.overlap = overlap;
    options.final_average = 3;
    Replay replay(GetParam(), 3, {5, 40}, Replay::Vector(45, 0.5f), options);
    for (int round = 0; round < 4; ++round) {
      std::vector<Replay::Vector> moved;
      for (int rank = 0; rank < 3; ++rank) {
        moved.emplace_back();
        for (int i = 0; i < 45; ++i) moved.back().push_back(std::sin(1.0f + i * (rank + 1) + round));
      }
      replay.Round(moved, {1.0 / (round + 1), 0.5, 2});
    }
    std::vector<Replay::Vector> all = replay.positions();
    all.push_back(replay.FinalModel());
    return all;
  };
  EXPECT_EQ(positions(16), positions(0));
}

// Gradients that do not depend on the weights make the same local steps wherever they begin, so that a late
// correction changes nothing about where a round ends.
TEST_P(OverlapTest, OfEvenGradientsEndsWhereTheBlockingExchangeEnds) {
  for (const Wire wire : {Wire::kFp32, Wire::kInt8}) {
    for (const std::int64_t warmup : {0, 3}) {
      testing::RunRanks(3, [&](Communicator& comm) {
        SyncOptions options;
        options.period = 4;
        options.total_steps = 22;  // the last round is shorter than the overlap
        options.wire = wire;
        options.warmup_steps = warmup;
        options.guard = true;
        Faller blocking(static_cast<float>(comm.rank() + 1)), overlapped(static_cast<float>(comm.rank() + 1));
        const auto one = MakeSynchronizer(GetParam(), blocking.params(), comm, options);
        for (int step = 0; step < 22; ++step) blocking.Step(*one);
        options.overlap = 3;
        const auto other = MakeSynchronizer(GetParam(), overlapped.params(), comm, options);
        for (int step = 0; step < 22; ++step) overlapped.Step(*other);
        EXPECT_NEAR(overlapped.weight(), blocking.weight(), 1e-4 * std::abs(blocking.weight()));
        EXPECT_EQ(other->rounds(), one->rounds());
      });
    }
  }
}

// Its momentum, which is not finite either, must not have another step.
TEST(Overlap, AWorkerThatWasLeftOutGoesOnFromTheOthersWithoutItsMomentum) {
  testing::RunRanks(3, [](Communicator& comm) {
    Faller faller(1, /*momentum=*/0.9);
    SyncOptions options;
    options.period = 2;
    options.overlap = 1;
    options.guard = true;
    const auto sync = MakeSynchronizer("average", faller.params(), comm, options);
    faller.Step(*sync);
    if (comm.rank() == 1) faller.SetSlope(std::nanf(""));
    faller.Step(*sync);
    faller.SetSlope(1);
    sync->Drain();
    EXPECT_TRUE(std::isfinite(faller.weight()));
    faller.Step(*sync);
    EXPECT_TRUE(std::isfinite(faller.weight()));
    sync->Finish();
  });
}

TEST(Overlap, AppliesTheCorrectionSoManyStepsLate) {
  testing::RunRanks(2, [](Communicator& comm) {
    const float slope = comm.rank() == 0 ? 1 : 3, mean = 2;
    Faller faller(slope);
    SyncOptions options;
    options.period = 3;
    options.total_steps = 7;
    options.overlap = 2;
    const auto sync = MakeSynchronizer("average", faller.params(), comm, options);
    // By step: the exchange of step 3 moves the weights after step 5, that of step 6 at the end, with one of
    // its own for the last step.
    const std::vector<float> expected{
        -slope, -2 * slope, -3 * slope, -4 * slope, -3 * mean - 2 * slope, -3 * mean - 3 * slope, -7 * mean};
    const std::vector<std::int64_t> rounds{0, 0, 0, 0, 1, 1, 3};
    for (std::size_t step = 0; step < expected.size(); ++step) {
      faller.Step(*sync);
      EXPECT_FLOAT_EQ(faller.weight(), expected[step]) << step;
      EXPECT_EQ(sync->rounds(), rounds[step]) << step;
    }
    sync->Finish();
  });
}

TEST(Overlap, OfAWholePeriodAppliesOneExchangeAsTheNextBegins) {
  testing::RunRanks(2, [](Communicator& comm) {
    const float slope = comm.rank() == 0 ? 1 : 3, mean = 2;
    Faller faller(slope);
    SyncOptions options;
    options.period = options.overlap = 2;
    options.total_steps = 6;
    const auto sync = MakeSynchronizer("average", faller.params(), comm, options);
    for (int step = 0; step < 4; ++step) faller.Step(*sync);
    EXPECT_FLOAT_EQ(faller.weight(), -2 * mean - 2 * slope);
    for (int step = 0; step < 2; ++step) faller.Step(*sync);
    EXPECT_FLOAT_EQ(faller.weight(), -6 * mean);
    EXPECT_EQ(sync->rounds(), 3);
  });
}

TEST(Overlap, DrainingAppliesTheCorrectionAtOnce) {
  testing::RunRanks(2, [](Communicator& comm) {
    const float slope = comm.rank() == 0 ? 1 : 3;
    Faller faller(slope);
    SyncOptions options;
    options.period = options.overlap = 2;
    const auto sync = MakeSynchronizer("average", faller.params(), comm, options);
    for (int step = 0; step < 3; ++step) faller.Step(*sync);
    sync->Drain();
    EXPECT_FLOAT_EQ(faller.weight(), -4 - slope);
    comm.Barrier();
    faller.Step(*sync);
    sync->Drain();
    EXPECT_FLOAT_EQ(faller.weight(), -8);
    sync->Finish();
    EXPECT_FLOAT_EQ(faller.weight(), -8);
  });
}

TEST(Overlap, RanksMayRunOutOfBatchesAtDifferentSteps) {
  testing::RunRanks(3, [](Communicator& comm) {
    Faller faller(static_cast<float>(comm.rank() + 1));
    SyncOptions options;
    options.period = 2;
    options.overlap = 1;
    const auto sync = MakeSynchronizer("average", faller.params(), comm, options);
    for (int step = 0; step < 3 * comm.rank(); ++step) faller.Step(*sync);
    sync->Finish();
    // Those with a round more go on from the mean of those that still worked.
    const std::vector<double> all = comm.AllGather(faller.weight());
    for (const double weight : all) EXPECT_FLOAT_EQ(static_cast<float>(weight), static_cast<float>(all[0]));
  });
}

// The steps go on while the exchange lasts.
TEST(Overlap, HidesTheLink) {
  testing::RunRanks(2, [](Communicator& comm) {
    LinkedCommunicator linked(comm, {1e6, 0.2});
    Faller faller(1);
    SyncOptions options;
    options.period = options.overlap = 2;
    options.trace = true;
    const auto sync = MakeSynchronizer("average", faller.params(), linked, options);
    for (int step = 0; step < 3; ++step) faller.Step(*sync);
    EXPECT_TRUE(sync->TakeSpans().empty()) << "nobody has waited yet";
    EXPECT_EQ(sync->rounds(), 0);
    faller.Step(*sync);
    const std::vector<SyncSpan> spans = sync->TakeSpans();
    ASSERT_EQ(spans.size(), 1u);
    sync->Finish();
    const std::vector<RoundTrace> traces = sync->TakeTraces();
    ASSERT_GE(traces.size(), 2u);
    EXPECT_GE(traces[0].seconds, 0.4) << "two ways over the link";
  });
}

class CutCommunicator : public LinkedCommunicator {
 public:
  using LinkedCommunicator::LinkedCommunicator;
  void AllReduce(const at::Tensor&, const std::vector<double>&, const at::Tensor&) override {
    throw CommError("the cable was cut");
  }
};

TEST(Overlap, AnExchangeThatFailsFailsTheStepThatWaitsForIt) {
  testing::RunRanks(2, [](Communicator& comm) {
    CutCommunicator cut(comm, {1e12, 0});
    Faller faller(1);
    SyncOptions options;
    options.period = options.overlap = 2;
    const auto sync = MakeSynchronizer("average", faller.params(), cut, options);
    for (int step = 0; step < 3; ++step) faller.Step(*sync);
    EXPECT_EQ(MessageOf<CommError>([&] { faller.Step(*sync); }), "the cable was cut");
    EXPECT_FLOAT_EQ(faller.weight(), -4) << "the weights are those of the local steps";
  });
}

TEST(Overlap, IsRefusedWhereItCannotBe) {
  HandDrivenWorker worker({1});
  const auto comm = ThreadWorld(1).Connect(0);
  SyncOptions options;
  options.overlap = 17;
  EXPECT_EQ(MessageOf<UsageError>([&] { MakeSynchronizer("average", worker.params(), *comm, options); }),
            "overlap is 17; it must be from 0 to the period, 16");
  options.overlap = 3;
  EXPECT_EQ(MessageOf<UsageError>([&] { MakeSynchronizer("ssgd", worker.params(), *comm, options); }),
            "overlap is given with ssgd, whose step needs the mean gradient at once");
}

}  // namespace
}  // namespace swarmsync
