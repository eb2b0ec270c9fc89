// Weights and gradients that travel in fewer bits.

#include "swarmsync/comm/wire.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "support/ranks.h"
#include "support/test_name.h"
#include "swarmsync/comm/counting_communicator.h"
#include "swarmsync/sync/replay.h"
#include "sync/encoded_sum.h"
#include "sync/worker.h"

namespace swarmsync {
namespace {

constexpr int kWorkers = 3;
constexpr std::int64_t kLength = 3001;

// What worker `rank` moves in a round.
Replay::Vector Displacement(int rank, int round) {
  Replay::Vector moved;
  for (std::int64_t i = 0; i < kLength; ++i)
    moved.push_back(0.1f *
                    std::sin(0.01f * static_cast<float>((i + 1) * (rank + 1)) + static_cast<float>(round)));
  return moved;
}

std::vector<Replay::Vector> PositionsAfter(const std::string& sync, Wire wire, int rounds) {
  SyncOptions options;
  options.wire = wire;
  Replay replay(sync, kWorkers, {1000, 2001}, Replay::Vector(kLength, 1), options);
  for (int round = 0; round < rounds; ++round) {
    std::vector<Replay::Vector> displacements;
    std::vector<double> fitness;
    for (int rank = 0; rank < kWorkers; ++rank) {
      displacements.push_back(Displacement(rank, round));
      fitness.push_back((rank + round) % kWorkers + 1.0 / (round + 1));
    }
    replay.Round(displacements, fitness);
  }
  return replay.positions();
}

double LargestDifference(const Replay::Vector& a, const Replay::Vector& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max<double>(largest, std::abs(a[i] - b[i]));
  return largest;
}

class WireTest : public ::testing::TestWithParam<std::tuple<std::string, Wire>> {
 protected:
  std::string sync() const { return std::get<0>(GetParam()); }
  Wire wire() const { return std::get<1>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(All, WireTest,
                         ::testing::Combine(::testing::ValuesIn(SynchronizerNames()),
                                            ::testing::Values(Wire::kBf16, Wire::kInt8)),
                         [](const auto& info) {
                           return testing::TestName(std::get<0>(info.param) + "_" +
                                                    ToString(std::get<1>(info.param)));
                         });

// Twenty rounds move a weight by up to 2; what one exchange loses is about a hundredth of what it moves.
TEST_P(WireTest, StaysCloseToWhatTheWholeNumbersGive) {
  const auto encoded = PositionsAfter(sync(), wire(), 20), whole = PositionsAfter(sync(), Wire::kFp32, 20);
  double largest = 0;
  for (int rank = 0; rank < kWorkers; ++rank)
    largest = std::max(largest, LargestDifference(encoded[rank], whole[rank]));
  EXPECT_LT(largest, wire() == Wire::kBf16 ? 0.004 : 0.02);
  EXPECT_GT(largest, 0) << "nothing was encoded";
}

TEST_P(WireTest, SendsHalfOrAQuarterOfTheBytes) {
  const auto bytes = [&](Wire with) {
    std::int64_t sent = 0;
    testing::RunRanks(4, [&](Communicator& comm) {
      CountingCommunicator counting(comm);
      testing::HandDrivenWorker worker({61706});
      SyncOptions options;
      options.wire = with;
      const auto synchronizer = MakeSynchronizer(sync(), worker.params(), counting, options);
      const std::int64_t before = counting.traffic().bytes_all_ranks;
      synchronizer->OnGradients();
      synchronizer->Exchange(comm.rank() + 1);
      if (comm.rank() == 0) sent = counting.traffic().bytes_all_ranks - before;
    });
    return static_cast<double>(sent);
  };
  EXPECT_LE(bytes(wire()) / bytes(Wire::kFp32), wire() == Wire::kBf16 ? 0.505 : 0.27);
}

TEST(Wire, ReplicasStayTheSameToTheBit) {
  for (const char* sync : {"average", "ssgd", "slowmo", "diloco"}) {
    for (const Wire wire : {Wire::kBf16, Wire::kInt8}) {
      const auto positions = PositionsAfter(sync, wire, 5);
      for (int rank = 1; rank < kWorkers; ++rank) EXPECT_EQ(positions[rank], positions[0]) << sync << rank;
    }
  }
}

// What is sent first is the difference from where the warm-up ended, not from where it began.
TEST(Wire, AfterAWarmUpDifferencesAreFromItsEnd) {
  testing::RunRanks(2, [](Communicator& comm) {
    testing::HandDrivenWorker worker({4});
    torch::optim::SGD optimizer(worker.parameters(), 1.0);
    SyncOptions options;
    options.wire = Wire::kInt8;
    options.warmup_steps = 1;
    options.period = 1;
    const auto sync = MakeSynchronizer("average", worker.params(), comm, options);
    worker.SetGradients({-1000, -2000, -3000, -4000});
    sync->Step(optimizer, torch::ones({}));
    const testing::Floats start = worker.weights();
    worker.SetGradients({-1.0f - static_cast<float>(comm.rank()), 0, 0, 0});
    sync->Step(optimizer, torch::ones({}));
    EXPECT_NEAR(worker.weights()[0], start[0] + 1.5, 0.02);
    EXPECT_EQ(worker.weights()[3], start[3]);
  });
}

// The mean of what was sent becomes the true one, though each exchange loses some of it.
TEST(EncodedSum, LosesNothingForGood) {
  testing::RunRanks(3, [](Communicator& comm) {
    EncodedSum sum(Wire::kInt8, EncodedSum::Sends::kValues, at::zeros({700}), comm);
    const at::Tensor mine = at::sin(at::arange(700, at::kFloat) * 0.37 * (comm.rank() + 1));
    at::Tensor expected = at::zeros({700}), total = at::zeros({700});
    for (int rank = 0; rank < 3; ++rank) expected += at::sin(at::arange(700, at::kFloat) * 0.37 * (rank + 1));
    constexpr int kRounds = 100;
    for (int round = 0; round < kRounds; ++round) {
      const at::Tensor out = at::empty({700});
      sum.Collect(mine, {1, 1, 1}, comm);
      sum.Take(out);
      EXPECT_TRUE(out.allclose(expected, 0, 0.1)) << round;
      total += out;
    }
    EXPECT_TRUE((total / kRounds).allclose(expected, 0, 0.1 / kRounds));
  });
}

TEST(EncodedSum, AWorkerWithTheFactorZeroCountsForNothing) {
  for (const EncodedSum::Sends sends : {EncodedSum::Sends::kValues, EncodedSum::Sends::kDifferences}) {
    testing::RunRanks(3, [&](Communicator& comm) {
      EncodedSum sum(Wire::kInt8, sends, at::ones({20}), comm);
      for (int round = 0; round < 3; ++round) {
        const at::Tensor mine = at::full({20}, comm.rank() == 1 ? std::nan("") : 5.0 + comm.rank()),
                         out = at::empty({20});
        sum.Collect(mine.to(at::kFloat), {0.25, 0, 0.75}, comm);
        sum.Take(out);
        EXPECT_TRUE(out.allclose(at::full({20}, 0.25 * 5 + 0.75 * 7), 0.02, 0)) << out;
      }
    });
  }
}

}  // namespace
}  // namespace swarmsync
