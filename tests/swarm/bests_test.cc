#include "swarmsync/swarm/bests.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>

#include "support/not_numbers.h"

namespace swarmsync {
namespace {

using testing::kInfinity;
using testing::kNan;

// What `rank` makes of an exchange whose guide is the best.
Bests::Verdict Update(Bests& bests, const std::vector<double>& fitness, int rank) {
  return bests.Update(fitness, rank, BestOf(fitness));
}

void ExpectVerdict(const Bests::Verdict& verdict, bool personal_replaced, bool global_replaced) {
  EXPECT_EQ(verdict.personal_replaced, personal_replaced);
  EXPECT_EQ(verdict.global_replaced, global_replaced);
}

TEST(BestOf, IsTheLeast) {
  EXPECT_EQ(BestOf({3, 1, 2}), 1);
  EXPECT_EQ(BestOf({-1, 0, -2}), 2);
  EXPECT_EQ(BestOf({5}), 0);
}

TEST(BestOf, TakesTheLowestRankOnTies) {
  EXPECT_EQ(BestOf({2, 1, 1}), 1);
  EXPECT_EQ(BestOf({0.0, -0.0}), 0);
}

TEST(BestOf, NeverTakesAFitnessThatIsNotFinite) {
  EXPECT_EQ(BestOf({kNan, 2, 1}), 2);
  EXPECT_EQ(BestOf({-kInfinity, 2}), 1);
  EXPECT_EQ(BestOf({kInfinity, kNan, 7}), 2);
}

TEST(BestOf, IsNobodyWhenNoneIsFinite) {
  EXPECT_EQ(BestOf({}), -1);
  EXPECT_EQ(BestOf({kNan, kInfinity, -kInfinity}), -1);
}

TEST(AnyOf, IsOneOfTheFiniteEachEquallyLikely) {
  const std::vector<double> fitness = {kNan, 5, kInfinity, 1, 3};
  EXPECT_EQ(AnyOf(fitness, 0), 1);
  EXPECT_EQ(AnyOf(fitness, 0x55555555), 1);  // a third of 2^32 is 0x55555555.5
  EXPECT_EQ(AnyOf(fitness, 0x55555556), 3);
  EXPECT_EQ(AnyOf(fitness, 0xaaaaaaaa), 3);
  EXPECT_EQ(AnyOf(fitness, 0xaaaaaaab), 4);
  EXPECT_EQ(AnyOf(fitness, 0xffffffff), 4);
  EXPECT_EQ(AnyOf({kNan}, 7), -1);
  EXPECT_EQ(AnyOf({}, 7), -1);
}

TEST(BestsHistoric, RemembersUntilSomethingBetterComes) {
  Bests bests(Memory::kHistoric, 0.5);
  EXPECT_EQ(bests.personal(), kNoFitness);
  EXPECT_EQ(bests.global(), kNoFitness);
  ExpectVerdict(Update(bests, {3, 2}, 0), true, true);
  ExpectVerdict(Update(bests, {3, 2}, 0), false, false);  // equal is not better
  ExpectVerdict(Update(bests, {2.5, 4}, 0), true, false);
  ExpectVerdict(Update(bests, {1, 4}, 0), true, true);
  ExpectVerdict(Update(bests, {9, 8}, 0), false, false);
  EXPECT_EQ(bests.personal(), 1);
  EXPECT_EQ(bests.global(), 1);
}

TEST(BestsCurrent, ForgetsAtEveryExchange) {
  Bests bests(Memory::kCurrent, 0.5);
  ExpectVerdict(Update(bests, {1, 2}, 1), true, true);
  ExpectVerdict(Update(bests, {8, 9}, 1), true, true);
  EXPECT_EQ(bests.personal(), 9);
  EXPECT_EQ(bests.global(), 8);
  ExpectVerdict(Update(bests, {kNan, kInfinity}, 1), false, false);
  EXPECT_EQ(bests.personal(), kNoFitness);
  EXPECT_EQ(bests.global(), kNoFitness);
}

TEST(BestsDecay, ARememberedBestWorsensBeforeItIsCompared) {
  Bests bests(Memory::kDecay, 0.25);
  ExpectVerdict(Update(bests, {4, 8}, 1), true, true);
  ExpectVerdict(Update(bests, {5, 10}, 1), false, false);  // 4 is 5 now, and 8 is 10: equal is not better
  EXPECT_EQ(bests.personal(), 10);
  EXPECT_EQ(bests.global(), 5);
  ExpectVerdict(Update(bests, {6.5, 12}, 1), true, false);   // 5 is 6.25, and 10 is 12.5
  ExpectVerdict(Update(bests, {7.75, 20}, 1), false, true);  // 6.25 is 7.8125, and 12 is 15
}

TEST(BestsDecay, ANegativeFitnessWorsensTowardsZero) {
  Bests bests(Memory::kDecay, 0.25);
  Update(bests, {-4}, 0);
  ExpectVerdict(Update(bests, {-3}, 0), false, false);
  EXPECT_EQ(bests.global(), -3);
  ExpectVerdict(Update(bests, {-2.5}, 0), true, true);  // -3 is -2.25
}

TEST(BestsDecay, ZeroStaysAndRateZeroIsHistoric) {
  Bests zero(Memory::kDecay, 0.25);
  Update(zero, {0}, 0);
  ExpectVerdict(Update(zero, {0.1}, 0), false, false);
  EXPECT_EQ(zero.global(), 0);
  Bests slow(Memory::kDecay, 0);
  Update(slow, {2}, 0);
  Update(slow, {3}, 0);
  EXPECT_EQ(slow.personal(), 2);
}

class BestsOfEachMemoryTest : public ::testing::TestWithParam<Memory> {};
INSTANTIATE_TEST_SUITE_P(Memories, BestsOfEachMemoryTest,
                         ::testing::Values(Memory::kHistoric, Memory::kCurrent, Memory::kDecay),
                         [](const auto& info) { return ToString(info.param); });

TEST_P(BestsOfEachMemoryTest, AFitnessThatIsNotFiniteNeverBecomesABest) {
  Bests bests(GetParam(), 0.5);
  ExpectVerdict(Update(bests, {kNan, kInfinity}, 0), false, false);
  ExpectVerdict(Update(bests, {-kInfinity, 3}, 0), false, true);
  EXPECT_EQ(bests.personal(), kNoFitness);
  EXPECT_EQ(bests.global(), 3);
  ExpectVerdict(Update(bests, {2, kNan}, 0), true, true);
  EXPECT_EQ(bests.personal(), 2);
  EXPECT_EQ(bests.global(), 2);
}

TEST_P(BestsOfEachMemoryTest, OneWorkerIsItsOwnGuide) {
  Bests bests(GetParam(), 0.5);
  for (const double fitness : {5.0, 4.0, 9.0, 3.0}) {
    const Bests::Verdict verdict = Update(bests, {fitness}, 0);
    EXPECT_EQ(verdict.personal_replaced, verdict.global_replaced);
    EXPECT_EQ(bests.personal(), bests.global());
  }
}

// A sequence of exchanges of some workers: finite fitnesses of both signs, and now and then one that is not.
std::vector<std::vector<double>> AnyExchanges(int workers) {
  const auto fitness = rc::gen::weightedOneOf<double>(
      {{8, rc::gen::map(rc::gen::inRange(-50, 50), [](int value) { return value / 10.0; })},
       {1, rc::gen::element(kNan, kInfinity, -kInfinity)}});
  return *rc::gen::container<std::vector<std::vector<double>>>(
      rc::gen::container<std::vector<double>>(workers, fitness));
}

RC_GTEST_PROP(Bests, AllWorkersAgreeOnTheGlobalBest, ()) {
  const int workers = *rc::gen::inRange(1, 6);
  const Memory memory = *rc::gen::element(Memory::kHistoric, Memory::kCurrent, Memory::kDecay);
  std::vector<Bests> bests(workers, Bests(memory, 0.1));
  for (const auto& fitness : AnyExchanges(workers)) {
    std::vector<Bests::Verdict> verdicts;
    for (int rank = 0; rank < workers; ++rank) verdicts.push_back(Update(bests[rank], fitness, rank));
    for (int rank = 0; rank < workers; ++rank) {
      RC_ASSERT(verdicts[rank].global_replaced == verdicts[0].global_replaced);
      RC_ASSERT(bests[rank].global() == bests[0].global());
      RC_ASSERT(bests[rank].global() <= bests[rank].personal());
    }
  }
}

RC_GTEST_PROP(Bests, HistoricIsTheLeastFiniteEverSeen, ()) {
  Bests bests(Memory::kHistoric, 0);
  double personal = kNoFitness, global = kNoFitness;
  for (const auto& fitness : AnyExchanges(3)) {
    Update(bests, fitness, 1);
    for (int rank = 0; rank < 3; ++rank) {
      if (!std::isfinite(fitness[rank])) continue;
      global = std::min(global, fitness[rank]);
      if (rank == 1) personal = std::min(personal, fitness[rank]);
    }
    RC_ASSERT(bests.personal() == personal);
    RC_ASSERT(bests.global() == global);
  }
}

}  // namespace
}  // namespace swarmsync
