// One or two rounds of each synchronizer worked out by hand. The numbers are exact in binary, all terms
// differ, and no two of them cancel: a wrong sign, a forgotten term or a swapped coefficient gives other
// numbers.

#include <gtest/gtest.h>

#include <cmath>

#include "support/ranks.h"
#include "swarmsync/sync/replay.h"
#include "sync/worker.h"

namespace swarmsync {
namespace {

using testing::Floats;
using testing::HandDrivenWorker;
using testing::RunRanks;

const std::vector<std::int64_t> kLengths = {2, 1};
const Floats kStart = {1, 2, 3};

struct Round {
  std::vector<Floats> displacements;  // by rank
  std::vector<double> fitness;        // by rank
};

// The swarm after the last round.
std::unique_ptr<Replay> After(const std::string& name, const SyncOptions& options,
                              const std::vector<Round>& rounds) {
  auto replay =
      std::make_unique<Replay>(name, static_cast<int>(rounds[0].fitness.size()), kLengths, kStart, options);
  for (const Round& round : rounds) replay->Round(round.displacements, round.fitness);
  return replay;
}

std::vector<Floats> PositionsAfter(const std::string& name, const SyncOptions& options,
                                   const std::vector<Round>& rounds) {
  return After(name, options, rounds)->positions();
}

// w = 1/2, c1 = 1/4, c2 = 1/8
SyncOptions Swarm(Velocity velocity, Memory memory, RandomScope random = RandomScope::kNone) {
  SyncOptions options;
  options.swarm.velocity = velocity;
  options.swarm.inertia = 0.5;
  options.swarm.cognitive = 0.25;
  options.swarm.social = 0.125;
  options.swarm.memory = memory;
  options.swarm.random = random;
  return options;
}

void ExpectNear(const Floats& found, const Floats& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-5) << i;
}

TEST(SsgdOracle, TwoWorkersStepAlongTheMeanOfTheirGradients) {
  // gradients (1, 3, -2) and (3, -1, 6): their mean is (2, 1, 2); lr 1/2
  // (1, 2, 3) - 1/2 (2, 1, 2) = (0, 1.5, 2)
  const std::vector<Floats> slopes = {{1, 3, -2}, {3, -1, 6}};
  RunRanks(2, [&](Communicator& comm) {
    HandDrivenWorker worker(kLengths);
    worker.SetWeights(kStart);
    const auto sync = MakeSynchronizer("ssgd", worker.params(), comm);
    torch::optim::SGD optimizer(worker.parameters(), 0.5);
    const Floats& slope = slopes[comm.rank()];
    const at::Tensor loss = slope[0] * worker.parameters()[0][0] + slope[1] * worker.parameters()[0][1] +
                            slope[2] * worker.parameters()[1][0];
    loss.backward();
    sync->Step(optimizer, loss);
    EXPECT_EQ(worker.gradients(), (Floats{2, 1, 2}));
    EXPECT_EQ(worker.weights(), (Floats{0, 1.5, 2}));
  });
}

TEST(SsgdOracle, FourWorkersHaveTheMeanOfTheirGradients) {
  // (1 + 3 + 2 - 10, 3 - 1 + 4 + 6, -2 + 6 + 5 - 1) / 4 = (-1, 3, 2)
  const std::vector<Floats> gradients = {{1, 3, -2}, {3, -1, 6}, {2, 4, 5}, {-10, 6, -1}};
  RunRanks(4, [&](Communicator& comm) {
    HandDrivenWorker worker(kLengths);
    worker.SetWeights(kStart);
    const auto sync = MakeSynchronizer("ssgd", worker.params(), comm);
    worker.SetGradients(gradients[comm.rank()]);
    sync->OnGradients();
    EXPECT_EQ(worker.gradients(), (Floats{-1, 3, 2}));
    EXPECT_EQ(worker.weights(), kStart);
  });
}

TEST(AverageOracle, FourWorkersMeetAtTheMeanTwice) {
  // 1: y = (5, 2, 11) (1, -2, 3) (-7, 4, 3) (1, 12, -1): the sum is (0, 16, 16), the mean (0, 4, 4)
  // 2: y = (8, 4, 3) (0, 2, 4) (4, 6, 12) (0, -4, 1):    the sum is (12, 8, 20), the mean (3, 2, 5)
  const std::vector<Round> rounds = {{{{4, 0, 8}, {0, -4, 0}, {-8, 2, 0}, {0, 10, -4}}, {1, 2, 3, 4}},
                                     {{{8, 0, -1}, {0, -2, 0}, {4, 2, 8}, {0, -8, -3}}, {4, 3, 2, 1}}};
  EXPECT_EQ(PositionsAfter("average", {}, {rounds[0]}), std::vector<Floats>(4, {0, 4, 4}));
  EXPECT_EQ(PositionsAfter("average", {}, rounds), std::vector<Floats>(4, {3, 2, 5}));
}

TEST(AverageOracle, TwoWorkersMeetInTheMiddle) {
  // ((1 + 3) + (1 - 1)) / 2 = 2, ((2 + 1) + (2 + 4)) / 2 = 4.5, ((3 - 5) + (3 + 1)) / 2 = 1
  EXPECT_EQ(PositionsAfter("average", {}, {{{{3, 1, -5}, {-1, 4, 1}}, {1, 2}}}),
            std::vector<Floats>(2, {2, 4.5, 1}));
}

// Two rounds of two workers, for the peers:
// 1: y0 = (5, 2, 11), y1 = (1, -2, 3): the mean is (3, 0, 7), d = mean - x = (2, -2, 4)
const std::vector<Round> kPeerRounds = {{{{4, 0, 8}, {0, -4, 0}}, {2, 1}},
                                        {{{8, -4, 2}, {-2, 6, 4}}, {1, 2}}};

TEST(SlowMoOracle, KeepsHalfOfItsVelocityAndMovesByThreeQuartersOfIt) {
  // alpha 3/4, beta 1/2
  // 1: v = (2, -2, 4), x = (1, 2, 3) + 3/4 v = (2.5, 0.5, 6)
  // 2: the mean of the displacements is (3, 1, 3): v = 1/2 (2, -2, 4) + (3, 1, 3) = (4, 0, 5)
  //    x = (2.5, 0.5, 6) + 3/4 v = (5.5, 0.5, 9.75)
  SyncOptions options;
  options.peers.slow_alpha = 0.75;
  options.peers.slow_beta = 0.5;
  EXPECT_EQ(PositionsAfter("slowmo", options, {kPeerRounds[0]}), std::vector<Floats>(2, {2.5, 0.5, 6}));
  EXPECT_EQ(PositionsAfter("slowmo", options, kPeerRounds), std::vector<Floats>(2, {5.5, 0.5, 9.75}));
}

TEST(DiLoCoOracle, TakesANesterovStepAlongTheMeanDisplacement) {
  // lr 1/2, momentum 1/4
  // 1: u = d = (2, -2, 4), d + 1/4 u = (2.5, -2.5, 5), x = (1, 2, 3) + (1.25, -1.25, 2.5) = (2.25, 0.75, 5.5)
  // 2: d = (3, 1, 3), u = 1/4 (2, -2, 4) + d = (3.5, 0.5, 4)
  //    x = (2.25, 0.75, 5.5) + 1/2 (3.875, 1.125, 4) = (4.1875, 1.3125, 7.5)
  SyncOptions options;
  options.peers.outer_lr = 0.5;
  options.peers.outer_momentum = 0.25;
  EXPECT_EQ(PositionsAfter("diloco", options, {kPeerRounds[0]}), std::vector<Floats>(2, {2.25, 0.75, 5.5}));
  EXPECT_EQ(PositionsAfter("diloco", options, kPeerRounds), std::vector<Floats>(2, {4.1875, 1.3125, 7.5}));
}

TEST(EasgdOracle, TiesTheWorkersToTheCenter) {
  // alpha 1/4, c = (1, 2, 3)
  // 1: y0 - c = (4, 0, 8), y1 - c = (0, -4, 0): x0 = (4, 2, 9), x1 = (1, -1, 3); c = (1, 2, 3) + (1, -1, 2)
  // 2: y0 = (12, -2, 11), y1 = (-1, 5, 7), c = (2, 1, 5): y0 - c = (10, -3, 6), y1 - c = (-3, 4, 2)
  //    x0 = (9.5, -1.25, 9.5), x1 = (-0.25, 4, 6.5); c = (2, 1, 5) + 1/4 (7, 1, 8) = (3.75, 1.25, 7)
  SyncOptions options;
  options.peers.elastic_alpha = 0.25;
  EXPECT_EQ(PositionsAfter("easgd", options, {kPeerRounds[0]}), (std::vector<Floats>{{4, 2, 9}, {1, -1, 3}}));
  EXPECT_EQ(PositionsAfter("easgd", options, kPeerRounds),
            (std::vector<Floats>{{9.5, -1.25, 9.5}, {-0.25, 4, 6.5}}));
  EXPECT_EQ(After("easgd", options, kPeerRounds)->FinalModel(), (Floats{3.75, 1.25, 7}));
}

TEST(LeaderOracle, PullsTheOthersToTheBest) {
  // c2 = 1/4
  // 1: f = (2, 1): y1 leads; x0 = (5, 2, 11) + 1/4 (-4, -4, -8) = (4, 1, 9), x1 = y1 = (1, -2, 3)
  // 2: f = (1, 2): y0 = (12, -3, 11) leads; y1 = (-1, 4, 7), x1 = y1 + 1/4 (13, -7, 4) = (2.25, 2.25, 8)
  SyncOptions options;
  options.swarm.social = 0.25;
  EXPECT_EQ(PositionsAfter("leader", options, {kPeerRounds[0]}),
            (std::vector<Floats>{{4, 1, 9}, {1, -2, 3}}));
  EXPECT_EQ(PositionsAfter("leader", options, kPeerRounds),
            (std::vector<Floats>{{12, -3, 11}, {2.25, 2.25, 8}}));
}

TEST(InformedPsoPsOracle, PullsToTheMeanWeightedByFitness) {
  // w = 1/2, c2 = 1/4. beta = (3/2) ln 3 with f = (2, 1): -beta (2 - 1) / (3/2) = -ln 3, so t = (1/4, 3/4)
  // 1: g = 1/4 (5, 2, 11) + 3/4 (1, -2, 3) = (2, -1, 5)
  //    v0 = (4, 0, 8) + 1/4 (-3, -3, -6) = (3.25, -0.75, 6.5),  x0 = (4.25, 1.25, 9.5)
  //    v1 = (0, -4, 0) + 1/4 (1, 1, 2) = (0.25, -3.75, 0.5),    x1 = (1.25, -1.75, 3.5)
  // 2: f = (1, 2), t = (3/4, 1/4); y0 = (12.25, -2.75, 11.5), y1 = (-0.75, 4.25, 7.5)
  //    g = (9, -1, 10.5)
  //    v0 = 1/2 (3.25, -0.75, 6.5) + (8, -4, 2) + 1/4 (-3.25, 1.75, -1) = (8.8125, -3.9375, 5)
  //    v1 = 1/2 (0.25, -3.75, 0.5) + (-2, 6, 4) + 1/4 (9.75, -5.25, 3) = (0.5625, 2.8125, 5)
  SyncOptions options;
  options.swarm.inertia = 0.5;
  options.swarm.social = 0.25;
  options.swarm.beta = 1.5 * std::log(3.0);
  const auto first = PositionsAfter("informed-pso-ps", options, {kPeerRounds[0]});
  ExpectNear(first[0], {4.25, 1.25, 9.5});
  ExpectNear(first[1], {1.25, -1.75, 3.5});
  const auto second = PositionsAfter("informed-pso-ps", options, kPeerRounds);
  ExpectNear(second[0], {13.0625, -2.6875, 14.5});
  ExpectNear(second[1], {1.8125, 1.0625, 8.5});
}

// Two rounds of two workers; what `swarm` and `total` have in common:
// 1: y0 = (9, -6, 19), y1 = (-7, 18, 11); f = (2, 1), so p0 = y0, p1 = y1, g = y1
//    s0 = 1/8 (g - y0) = 1/8 (-16, 24, -8) = (-2, 3, -1); s1 = 0
// 2: f = (3, 4), so p0, p1 and g stay
const std::vector<Round> kTwoRounds = {{{{8, -8, 16}, {-8, 16, 8}}, {2, 1}},
                                       {{{16, 8, -8}, {8, -16, 24}}, {3, 4}}};

TEST(PsoPsOracle, VelocitySwarmHoldsThePullsAlone) {
  // 1: v0 = s0 = (-2, 3, -1), x0 = y0 + v0 = (7, -3, 18); v1 = 0, x1 = y1 = (-7, 18, 11)
  // 2: y0 = (7, -3, 18) + (16, 8, -8) = (23, 5, 10)
  //    s0 = 1/4 (p0 - y0) + 1/8 (g - y0) = 1/4 (-14, -11, 9) + 1/8 (-30, 13, 1)
  //       = (-3.5, -2.75, 2.25) + (-3.75, 1.625, 0.125) = (-7.25, -1.125, 2.375)
  //    v0 = 1/2 (-2, 3, -1) + s0 = (-8.25, 0.375, 1.875), x0 = y0 + v0 = (14.75, 5.375, 11.875)
  //    y1 = (-7, 18, 11) + (8, -16, 24) = (1, 2, 35); p1 = g = (-7, 18, 11)
  //    v1 = s1 = (1/4 + 1/8) (-8, 16, -24) = (-3, 6, -9), x1 = (-2, 8, 26)
  const SyncOptions options = Swarm(Velocity::kSwarm, Memory::kHistoric);
  EXPECT_EQ(PositionsAfter("pso-ps", options, {kTwoRounds[0]}),
            (std::vector<Floats>{{7, -3, 18}, {-7, 18, 11}}));
  EXPECT_EQ(PositionsAfter("pso-ps", options, kTwoRounds),
            (std::vector<Floats>{{14.75, 5.375, 11.875}, {-2, 8, 26}}));
}

TEST(PsoPsOracle, VelocityTotalHoldsTheWholeMove) {
  // 1: v0 = d0 + s0 = (8, -8, 16) + (-2, 3, -1) = (6, -5, 15), x0 = (1, 2, 3) + v0 = (7, -3, 18)
  //    v1 = d1 = (-8, 16, 8), x1 = (-7, 18, 11)
  // 2: s0 = (-7.25, -1.125, 2.375) and s1 = (-3, 6, -9), as for `swarm`
  //    v0 = 1/2 (6, -5, 15) + (16, 8, -8) + s0 = (11.75, 4.375, 1.875), x0 = (7, -3, 18) + v0
  //    v1 = 1/2 (-8, 16, 8) + (8, -16, 24) + s1 = (1, -2, 19), x1 = (-7, 18, 11) + v1
  const SyncOptions options = Swarm(Velocity::kTotal, Memory::kHistoric);
  EXPECT_EQ(PositionsAfter("pso-ps", options, {kTwoRounds[0]}),
            (std::vector<Floats>{{7, -3, 18}, {-7, 18, 11}}));
  EXPECT_EQ(PositionsAfter("pso-ps", options, kTwoRounds),
            (std::vector<Floats>{{18.75, 1.375, 19.875}, {-6, 16, 30}}));
}

TEST(PsoPsOracle, VelocityNesterovLooksAhead) {
  // 1: v0 = d0 + s0 = (8, -8, 16) + (-2, 3, -1) = (6, -5, 15), u0 = 1/2 v0 = (3, -2.5, 7.5)
  //    x0 = y0 + s0 + u0 = (7, -3, 18) + u0 = (10, -5.5, 25.5)
  //    v1 = d1 = (-8, 16, 8), u1 = (-4, 8, 4), x1 = y1 + u1 = (-11, 26, 15)
  // 2: y0 = (26, 2.5, 17.5), y1 = (-3, 10, 39); p0 = (9, -6, 19), p1 = g = (-7, 18, 11)
  //    s0 = 1/4 (-17, -8.5, 1.5) + 1/8 (-33, 15.5, -6.5) = (-8.375, -0.1875, -0.4375)
  //    v0 = u0 + (16, 8, -8) + s0 = (10.625, 5.3125, -0.9375), x0 = y0 + s0 + 1/2 v0
  //    s1 = 3/8 (-4, 8, -28) = (-1.5, 3, -10.5), v1 = u1 + (8, -16, 24) + s1 = (2.5, -5, 17.5)
  //    x1 = y1 + s1 + 1/2 v1
  const SyncOptions options = Swarm(Velocity::kNesterov, Memory::kHistoric);
  EXPECT_EQ(PositionsAfter("pso-ps", options, {kTwoRounds[0]}),
            (std::vector<Floats>{{10, -5.5, 25.5}, {-11, 26, 15}}));
  EXPECT_EQ(PositionsAfter("pso-ps", options, kTwoRounds),
            (std::vector<Floats>{{22.9375, 4.96875, 16.59375}, {-3.25, 10.5, 37.25}}));
}

TEST(PsoPsOracle, MemoryCurrentPullsToThisRoundsBestAlone) {
  // 1: y0 = (9, -6, 19), y1 = (-7, 18, 11), y2 = (1, 10, -5); f = (3, 2, 1): g = y2
  //    v0 = 1/8 (-8, 16, -24) = (-1, 2, -3), x0 = (8, -4, 16)
  //    v1 = 1/8 (8, -8, -16) = (1, -1, -2),  x1 = (-6, 17, 9)
  //    v2 = 0,                               x2 = (1, 10, -5)
  // 2: y0 = (16, -4, 8), y1 = (-6, 25, 9), y2 = (1, 10, 3); f = (7, 8, 9), worse than before, and g = y0
  //    v0 = 1/2 (-1, 2, -3) = (-0.5, 1, -1.5),                       x0 = (15.5, -3, 6.5)
  //    v1 = 1/2 (1, -1, -2) + 1/8 (22, -29, -1) = (3.25, -4.125, -1.125), x1 = (-2.75, 20.875, 7.875)
  //    v2 = 1/8 (15, -14, 5) = (1.875, -1.75, 0.625),                x2 = (2.875, 8.25, 3.625)
  // c1 does nothing.
  const std::vector<Round> rounds = {{{{8, -8, 16}, {-8, 16, 8}, {0, 8, -8}}, {3, 2, 1}},
                                     {{{8, 0, -8}, {0, 8, 0}, {0, 0, 8}}, {7, 8, 9}}};
  const SyncOptions options = Swarm(Velocity::kSwarm, Memory::kCurrent);
  EXPECT_EQ(PositionsAfter("pso-ps", options, {rounds[0]}),
            (std::vector<Floats>{{8, -4, 16}, {-6, 17, 9}, {1, 10, -5}}));
  EXPECT_EQ(PositionsAfter("pso-ps", options, rounds),
            (std::vector<Floats>{{15.5, -3, 6.5}, {-2.75, 20.875, 7.875}, {2.875, 8.25, 3.625}}));
}

TEST(PsoPsOracle, MemoryDecayLetsAWorseBestReplaceARememberedOne) {
  // With decay 1/2 the bests 2 and 1 of round 1 are 3 and 1.5 in round 2, where f = (1.25, 4): p0 and g
  // become y0, while with `historic` g stays, 1 being less than 1.25. 1: as kTwoRounds with `swarm`: x0 = (7,
  // -3, 18), v0 = (-2, 3, -1); x1 = (-7, 18, 11), v1 = 0 2: y0 = (23, 5, 10) = p0 = g; v0 = 1/2 v0 =
  // (-1, 1.5, -0.5), x0 = (22, 6.5, 9.5)
  //    y1 = (1, 2, 35), p1 = (-7, 18, 11)
  //    v1 = 1/4 (-8, 16, -24) + 1/8 (22, 3, -25) = (0.75, 4.375, -9.125), x1 = (1.75, 6.375, 25.875)
  SyncOptions options = Swarm(Velocity::kSwarm, Memory::kDecay);
  options.swarm.memory_decay = 0.5;
  const std::vector<Round> rounds = {kTwoRounds[0], {kTwoRounds[1].displacements, {1.25, 4}}};
  EXPECT_EQ(PositionsAfter("pso-ps", options, rounds),
            (std::vector<Floats>{{22, 6.5, 9.5}, {1.75, 6.375, 25.875}}));
}

TEST(PsoPsOracle, ARandomFactorForTheRoundScalesThePull) {
  // seed 1, exchange 0, rank 0: r2 = 0.4114384 (goldens.json, purpose 3); the personal pull is 0 in round 1
  // x0 = y0 + 1/8 r2 (-16, 24, -8) = (9, -6, 19) + r2 (-2, 3, -1)
  SyncOptions options = Swarm(Velocity::kSwarm, Memory::kHistoric, RandomScope::kRound);
  options.seed = 1;
  const auto weights = PositionsAfter("pso-ps", options, {kTwoRounds[0]});
  ExpectNear(weights[0], {8.1771232f, -4.7656848f, 18.5885616f});
  EXPECT_EQ(weights[1], (Floats{-7, 18, 11}));
}

TEST(PsoPsOracle, InertiaGoesFromOneNumberToAnotherOverTheTraining) {
  // As VelocityTotalHoldsTheWholeMove, of which the second round ends the training: there w is 1/4.
  // 2: v0 = 1/4 (6, -5, 15) + (16, 8, -8) + (-7.25, -1.125, 2.375) = (10.25, 5.625, -1.875)
  //    v1 = 1/4 (-8, 16, 8) + (8, -16, 24) + (-3, 6, -9) = (3, -6, 17)
  SyncOptions options = Swarm(Velocity::kTotal, Memory::kHistoric);
  options.swarm.inertia = {0.75, 0.25};
  options.period = 10;
  options.total_steps = 15;  // a round and a half
  EXPECT_EQ(PositionsAfter("pso-ps", options, kTwoRounds),
            (std::vector<Floats>{{17.25, 2.625, 16.125}, {-4, 12, 28}}));
  // Where the training goes on to 40 steps, half of it is over: w is 1/2, as in that test.
  options.total_steps = 40;
  EXPECT_EQ(PositionsAfter("pso-ps", options, kTwoRounds),
            (std::vector<Floats>{{18.75, 1.375, 19.875}, {-6, 16, 30}}));
}

TEST(PsoPsOracle, ARandomGuideIsNowTheBestAndNowAnother) {
  SyncOptions options = Swarm(Velocity::kSwarm, Memory::kCurrent);
  options.swarm.inertia = 0;
  options.swarm.cognitive = 0;
  options.swarm.guide = Guide::kRandom;
  Replay replay("pso-ps", 2, kLengths, kStart, options);
  std::vector<int> guided(2);
  for (int round = 0; round < 20; ++round) {
    const auto before = replay.positions();
    replay.Round({{1, 0, 2}, {-2, 1, 4}}, {2, 1});
    const int guide = replay.synchronizer(0).last_exchange().guide, other = 1 - guide;
    ++guided.at(static_cast<std::size_t>(guide));
    EXPECT_EQ(replay.synchronizer(1).last_exchange().guide, guide);
    // The first weights: the guide stays where it stood, the other comes an eighth of the way.
    const std::vector<float> stood = {before[0][0] + 1, before[1][0] - 2};
    EXPECT_EQ(replay.positions()[guide][0], stood[guide]);
    EXPECT_NEAR(replay.positions()[other][0], stood[other] + (stood[guide] - stood[other]) / 8, 1e-5);
  }
  EXPECT_GT(guided[0], 3);
  EXPECT_GT(guided[1], 3);
}

TEST(PsoPsOracle, ARandomGuideIsDrawnAsDocumented) {
  // floor(4 word / 2^32), word 0 of (seed 7, exchange k, rank 0, purpose 9), by the Philox of make_goldens.py
  const std::vector<int> drawn = {2, 3, 2, 3, 1, 2, 0, 3};
  SyncOptions options;
  options.seed = 7;
  options.swarm.guide = Guide::kRandom;
  Replay replay("pso-ps", 4, kLengths, kStart, options);
  for (const int guide : drawn) {
    replay.Round(std::vector<Floats>(4, {1, 1, 1}), {1, 2, 3, 4});
    EXPECT_EQ(replay.synchronizer(0).last_exchange().guide, guide);
  }
}

// The rounds of TwoWorkersMeetInTheMiddle and the same once more.
TEST(FinalAverage, WeighsALaterRoundMore) {
  // 1: (2, 4.5, 1). 2: the mean displacement is (1, 2.5, -2): (3, 7, -1)
  // p = 1: (1 (2, 4.5, 1) + 2 (3, 7, -1)) / 3 = (8/3, 18.5/3, -1/3)
  const Round round{{{3, 1, -5}, {-1, 4, 1}}, {1, 2}};
  SyncOptions options;
  options.final_average = 1;
  for (const char* name : {"average", "ssgd"}) {
    const auto replay = After(name, options, {round, round});
    EXPECT_EQ(replay->positions(), std::vector<Floats>(2, {3, 7, -1})) << name;
    ExpectNear(replay->FinalModel(), {8.f / 3, 18.5f / 3, -1.f / 3});
  }
}

TEST(FinalAverage, OfEasgdIsThatOfItsCenter) {
  // alpha 1/4. 1: y = (4, 3, -2), (0, 6, 4); c += 1/4 (2, 5, -4) = (1.5, 3.25, 2)
  // p = 3 after one round: that round alone; the second follows from c, y and the elastic pull.
  SyncOptions options;
  options.peers.elastic_alpha = 0.25;
  options.final_average = 3;
  const Round round{{{3, 1, -5}, {-1, 4, 1}}, {1, 2}};
  ExpectNear(After("easgd", options, {round})->FinalModel(), {1.5f, 3.25f, 2});
  options.final_average = 0;
  const Floats second = After("easgd", options, {round, round})->FinalModel();
  options.final_average = 3;
  // (1 c1 + 4 c2) / 5, as c = (3 + 1) / (2 + 3)
  ExpectNear(After("easgd", options, {round, round})->FinalModel(),
             {(1.5f + 4 * second[0]) / 5, (3.25f + 4 * second[1]) / 5, (2 + 4 * second[2]) / 5});
}

TEST(FinalAverage, DoesWithoutAPositionThatIsNotFinite) {
  const float nan = std::nanf("");
  SyncOptions options;
  options.swarm.inertia = 0;
  options.swarm.social = 0;
  options.final_average = 1;
  const auto replay =
      After("pso-ps", options, {{{{1, 1, 1}, {3, 3, 3}}, {1, 2}}, {{{1, 1, 1}, {nan, nan, nan}}, {1, 2}}});
  // Rank 0: ((2, 3, 4) + 2 (3, 4, 5)) / 3; rank 1 stays with its first round, (4, 5, 6).
  ExpectNear(replay->FinalModel(), {(8.f / 3 + 4) / 2, (11.f / 3 + 5) / 2, (14.f / 3 + 6) / 2});
}

}  // namespace
}  // namespace swarmsync
