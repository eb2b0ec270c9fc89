#include "swarmsync/data/sharding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <set>
#include <stdexcept>

#include "data/throws_with.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

using Ids = std::vector<std::int64_t>;
using Shards = std::vector<Ids>;

// Labels, and no images.
class LabelledSet : public ImageSet {
 public:
  explicit LabelledSet(Ids labels) : labels_(std::move(labels)) {}

  ImageShape shape() const override { return {1, 1, 1}; }
  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }
  std::int64_t label(std::int64_t i) const override { return labels_.at(static_cast<std::size_t>(i)); }
  void Fill(const std::int64_t*, std::int64_t, float*, std::int64_t*) const override {
    throw std::logic_error("nobody needs the images");
  }

 private:
  Ids labels_;
};

// Sample i is of class i % classes.
LabelledSet EvenSet(std::int64_t size, std::int64_t classes) {
  Ids labels;
  for (std::int64_t i = 0; i < size; ++i) labels.push_back(i % classes);
  return LabelledSet(labels);
}

Ids AllIds(std::int64_t size) {
  Ids ids(static_cast<std::size_t>(size));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

Shards ShardEvenSet(std::int64_t size, std::int64_t classes, std::int64_t workers, double alpha,
                    std::uint64_t seed) {
  return ShardByLabel(EvenSet(size, classes), AllIds(size), classes, workers, alpha, seed);
}

Ids ClassCounts(const ImageSet& set, const Ids& ids, std::int64_t classes) {
  Ids counts(static_cast<std::size_t>(classes));
  for (const std::int64_t id : ids) ++counts[static_cast<std::size_t>(set.label(id))];
  return counts;
}

// What holds whatever the shards' classes: no owner twice, only given ids, equal sizes, ascending.
void ExpectDivides(const Shards& shards, const Ids& ids, std::int64_t workers) {
  ASSERT_EQ(static_cast<std::int64_t>(shards.size()), workers);
  const std::set<std::int64_t> given(ids.begin(), ids.end());
  std::set<std::int64_t> owned;
  for (const Ids& shard : shards) {
    EXPECT_EQ(shard.size(), ids.size() / shards.size());
    EXPECT_TRUE(std::is_sorted(shard.begin(), shard.end()));
    for (const std::int64_t id : shard) {
      EXPECT_EQ(given.count(id), 1u) << id << " was not given";
      EXPECT_TRUE(owned.insert(id).second) << id << " has two owners";
    }
  }
}

TEST(ShardingTest, ParsesWhatItWrites) {
  EXPECT_EQ(ParseSharding("iid"), Sharding{});
  EXPECT_EQ(ParseSharding("iid").skew_alpha, 0);
  EXPECT_EQ(ParseSharding("label-skew:0.5").skew_alpha, 0.5);
  EXPECT_EQ(ParseSharding("label-skew:1e-3").skew_alpha, 1e-3);
  EXPECT_EQ(ParseSharding("label-skew:100").skew_alpha, 100);
  EXPECT_EQ(ToString(Sharding{}), "iid");
  EXPECT_EQ(ToString(Sharding{0.5}), "label-skew:0.5");
  EXPECT_EQ(ToString(Sharding{100}), "label-skew:100");
  for (const double alpha : {0.0, 0.1, 1.0 / 3, 1e-3, 1.0, 12345.678, 1e6}) {
    EXPECT_EQ(ParseSharding(ToString(Sharding{alpha})).skew_alpha, alpha) << alpha;
  }
  EXPECT_FALSE(Sharding{0.5} == Sharding{});
}

TEST(ShardingTest, RefusesOtherTextsAndSaysWhatIsAllowed) {
  for (const std::string text : {"",
                                 "i",
                                 "IID",
                                 "iid ",
                                 " iid",
                                 "iid:0.5",
                                 "label-skew",
                                 "label-skew:",
                                 "label-skew:0",
                                 "label-skew:-0.5",
                                 "label-skew:-0",
                                 "label-skew:nan",
                                 "label-skew:inf",
                                 "label-skew:1e999",
                                 "label-skew:0.00099",
                                 "label-skew:1000001",
                                 "label-skew:1e-999",
                                 "label-skew:x",
                                 "label-skew:0.5x",
                                 "label-skew:0.5 ",
                                 "label-skew: 0.5",
                                 "label-skew:+0.5",
                                 "label-skew:0,5",
                                 "label-skew:0x1p-1",
                                 "Label-skew:0.5",
                                 "label_skew:0.5",
                                 "label-skew=0.5",
                                 "0.5"}) {
    ExpectThrowsWith<UsageError>([&] { ParseSharding(text); },
                                 {"'" + text + "'", "iid", "label-skew:ALPHA", "from 0.001 to 1000000"});
  }
}

TEST(ShardingTest, EverySampleHasOneOwnerAtMost) {
  for (const std::int64_t size : {8, 9, 60, 101, 500}) {
    for (std::int64_t workers = 1; workers <= 8; ++workers) {
      for (const double alpha : {1e-300, 1e-3, 0.01, 0.1, 1.0, 50.0, 1e300}) {
        SCOPED_TRACE(::testing::Message() << size << " samples, " << workers << " workers, alpha " << alpha);
        for (const std::uint64_t seed : {0, 1}) {
          ExpectDivides(ShardEvenSet(size, 10, workers, alpha, seed), AllIds(size), workers);
        }
      }
    }
  }
}

TEST(ShardingTest, DividesOnlyTheIdsThatItIsGiven) {
  const LabelledSet set = EvenSet(1000, 7);
  Ids ids;
  for (std::int64_t id = 10; id < 1000; id += 3) ids.push_back(id);
  for (std::int64_t workers = 1; workers <= 8; ++workers) {
    for (const double alpha : {0.1, 10.0})
      ExpectDivides(ShardByLabel(set, ids, 7, workers, alpha, 3), ids, workers);
  }
  EXPECT_EQ(ShardByLabel(set, {999, 5, 70}, 7, 1, 0.5, 3), Shards({{5, 70, 999}}));
}

TEST(ShardingTest, ClassesMayBeUnevenAndEmpty) {
  Ids labels(400, 2);
  for (std::size_t i = 0; i < 30; ++i) labels[7 * i] = 5;
  labels[399] = 0;
  const LabelledSet set(labels);
  for (const double alpha : {1e-3, 0.1, 1.0, 1e6}) {
    for (std::int64_t workers = 1; workers <= 8; ++workers) {
      ExpectDivides(ShardByLabel(set, AllIds(400), 8, workers, alpha, 11), AllIds(400), workers);
    }
  }
}

TEST(ShardingTest, DependsOnItsArgumentsAlone) {
  const auto shards = [](double alpha, std::uint64_t seed) { return ShardEvenSet(600, 10, 4, alpha, seed); };
  EXPECT_EQ(shards(0.5, 1), shards(0.5, 1));
  const std::set<Shards> all = {shards(0.5, 1), shards(0.5, 2), shards(0.5, 1 + (std::uint64_t{1} << 32)),
                                shards(0.6, 1), shards(5, 1)};
  EXPECT_EQ(all.size(), 5u);
  EXPECT_EQ(shards(0.5, 1), shards(0.5, 1));
}

// By an independent script (the header's streams, with the Philox of sampler_test.cc; Gamma by Marsaglia and
// Tsang with normals by Box and Muller), sample i of class i % 3.
TEST(ShardingTest, DividesAsTheIndependentScript) {
  EXPECT_EQ(ShardEvenSet(20, 3, 2, 0.5, 42),
            Shards({{1, 2, 4, 5, 9, 12, 14, 15, 17, 19}, {0, 3, 6, 7, 8, 10, 11, 13, 16, 18}}));
  Ids ids = AllIds(20);
  ids.erase(ids.begin());
  EXPECT_EQ(ShardByLabel(EvenSet(20, 3), ids, 3, 3, 2, 0x123456789abcdef),
            Shards({{1, 3, 6, 9, 15, 17}, {2, 8, 10, 13, 16, 19}, {4, 5, 7, 11, 12, 18}}));
  EXPECT_EQ(ShardByLabel(EvenSet(20, 3), ids, 3, 3, 0.1, 7),
            Shards({{4, 6, 9, 12, 15, 18}, {2, 5, 8, 11, 14, 17}, {1, 3, 7, 10, 13, 19}}));
}

TEST(ShardingTest, AsManyWorkersAsSamplesButNotMore) {
  ExpectDivides(ShardEvenSet(5, 2, 5, 0.1, 1), AllIds(5), 5);
  ExpectThrowsWith<UsageError>([] { ShardEvenSet(4, 2, 5, 0.1, 1); }, {"5 workers", "4 training samples"});
  const LabelledSet set = EvenSet(100, 2);
  ExpectThrowsWith<UsageError>(
      [&] {
        ShardByLabel(set, {3, 4}, 2, 3, 0.1, 1);
      },
      {"3 workers", "2 training samples"});
  EXPECT_THROW(ShardByLabel(set, {}, 2, 1, 0.1, 1), UsageError);
}

// 125 of each class expected in a shard of 1250, standard deviation below 11.
TEST(ShardingTest, ALargeAlphaIsCloseToEven) {
  const LabelledSet set = EvenSet(5000, 10);
  for (const double alpha : {1e4, 1e9, 1e300}) {
    for (const Ids& shard : ShardByLabel(set, AllIds(5000), 10, 4, alpha, 5)) {
      for (const std::int64_t count : ClassCounts(set, shard, 10)) EXPECT_NEAR(count, 125, 60) << alpha;
    }
  }
}

// Part of a shard that its `classes` most frequent ones make up, on average over workers and seeds. The
// classes are large enough for three shards each.
double Dominance(double alpha, int classes) {
  const LabelledSet set = EvenSet(1500, 10);
  double sum = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (const Ids& shard : ShardByLabel(set, AllIds(1500), 10, 30, alpha, seed)) {
      Ids counts = ClassCounts(set, shard, 10);
      std::sort(counts.begin(), counts.end(), std::greater<>());
      sum += static_cast<double>(std::accumulate(counts.begin(), counts.begin() + classes, std::int64_t{0})) /
             static_cast<double>(shard.size());
    }
  }
  return sum / (20 * 30);
}

TEST(ShardingTest, ASmallAlphaGivesAShardFewClasses) {
  EXPECT_LT(Dominance(1e4, 1), 0.25);
  EXPECT_GT(Dominance(0.1, 3), 0.8);
  for (const double alpha : {0.01, 1e-3}) {
    EXPECT_GT(Dominance(alpha, 1), 0.6) << alpha;
    EXPECT_GT(Dominance(alpha, 2), 0.8) << alpha;
  }
}

// With an alpha so small that a worker wants one class alone, two workers either want different ones and have
// them whole, or the same, and share it.
TEST(ShardingTest, WorkersTakeSamplesInTurn) {
  const LabelledSet set = EvenSet(200, 2);
  int different = 0, same = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const Shards shards = ShardByLabel(set, AllIds(200), 2, 2, 1e-6, seed);
    const std::int64_t first = ClassCounts(set, shards[0], 2)[0];
    different += first == 0 || first == 100 ? 1 : 0;
    same += first == 50 ? 1 : 0;
  }
  EXPECT_EQ(different + same, 60);
  EXPECT_NEAR(different, 30, 20);  // standard deviation 4
}

// As before, with three more classes, of which the worker wants none: it takes evenly, 100 of 200 of each
// (standard deviation 6). A class that both want is shared, and then they take 100 of each of all five.
TEST(ShardingTest, WhenItsClassesRunOutAWorkerTakesEvenly) {
  const LabelledSet set = EvenSet(1000, 5);
  int different = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Shards shards = ShardByLabel(set, AllIds(1000), 5, 2, 1e-300, seed);
    const Ids counts = ClassCounts(set, shards[0], 5);
    const bool whole = *std::max_element(counts.begin(), counts.end()) == 200;
    different += whole ? 1 : 0;
    for (const std::int64_t count : counts) {
      const bool own_or_others = whole && (count == 200 || count == 0);
      EXPECT_TRUE(own_or_others || std::abs(count - 100) <= 40) << count << " with seed " << seed;
    }
  }
  EXPECT_NEAR(different, 16, 9);  // 4 of 5 times
}

// A quarter of 1000 workers want class 0 alone, which has one sample; the others, whose classes are large,
// have what they want. 416 of the 1249 samples that the quarter takes instead are of each other class
// (standard deviation 25, for it may be a little more or less than a quarter).
TEST(ShardingTest, WhatAWorkerTakesInsteadIsEven) {
  Ids labels = {0};
  for (std::int64_t i = 1; i < 5999; ++i) labels.push_back(1 + i % 3);
  const LabelledSet set(labels);
  Ids all(4), instead(4);
  for (const Ids& shard : ShardByLabel(set, AllIds(5999), 4, 1000, 1e-300, 1)) {
    ASSERT_EQ(shard.size(), 5u);
    const Ids counts = ClassCounts(set, shard, 4);
    const bool has_its_class = *std::max_element(counts.begin() + 1, counts.end()) == 5;
    for (int c = 0; c < 4; ++c) {
      all[c] += counts[c];
      if (!has_its_class) instead[c] += counts[c];
    }
  }
  EXPECT_EQ(all[0], 1);
  for (int c = 1; c < 4; ++c) {
    EXPECT_LT(all[c], 1999) << "run out";
    EXPECT_NEAR(instead[c], 416, 120);
  }
}

// In how many of n draws a class comes up, when its probability is drawn from Beta(a, b): the share of one
// class of a Dirichlet distribution has a = alpha and b = (classes - 1) alpha.
double BetaBinomial(int count, int n, double a, double b) {
  const auto log_beta = [](double x, double y) {
    return std::lgamma(x) + std::lgamma(y) - std::lgamma(x + y);
  };
  return std::exp(log_beta(count + a, n - count + b) - log_beta(a, b) - log_beta(count + 1, n - count + 1)) /
         (n + 1);
}

// Four thousand workers with ten samples each, so one call draws as many independent distributions. The set
// holds for each worker one sample more than they take, so no class runs out and distorts them.
class DirichletTest : public ::testing::TestWithParam<std::pair<double, int>> {
 protected:
  static constexpr int kWorkers = 4000, kShare = 10;

  double alpha() const { return GetParam().first; }
  int classes() const { return GetParam().second; }

  // [classes][workers]: how many samples of the class each worker has.
  std::vector<Ids> Counts(std::uint64_t seed) const {
    const std::int64_t size = (kShare + 1) * kWorkers - 1;
    const LabelledSet set = EvenSet(size, classes());
    std::vector<Ids> counts(classes());
    for (const Ids& shard : ShardByLabel(set, AllIds(size), classes(), kWorkers, alpha(), seed)) {
      const Ids each = ClassCounts(set, shard, classes());
      EXPECT_EQ(shard.size(), static_cast<std::size_t>(kShare));
      for (int c = 0; c < classes(); ++c) counts[c].push_back(each[c]);
    }
    for (const Ids& count : counts) {
      EXPECT_LT(std::accumulate(count.begin(), count.end(), std::int64_t{0}), size / classes()) << "run out";
    }
    return counts;
  }
};

INSTANTIATE_TEST_SUITE_P(Alphas, DirichletTest,
                         ::testing::Values(std::pair(0.01, 4), std::pair(0.1, 3), std::pair(0.5, 4),
                                           std::pair(1.0, 2), std::pair(1.0, 5), std::pair(3.0, 3),
                                           std::pair(100.0, 4)),
                         [](const auto& info) { return "Number" + std::to_string(info.index); });

// Mean 1/K and variance (1/K)(1 - 1/K) / (K alpha + 1) of a class's probability; a share of ten samples
// varies by what is left of (1/K)(1 - 1/K), a tenth of it, besides.
TEST_P(DirichletTest, SharesHaveItsMeanAndVariance) {
  const double mean = 1.0 / classes(), most = mean * (1 - mean);
  const double variance = most / (classes() * alpha() + 1);
  const Ids counts = Counts(1)[0];
  double sum = 0, squares = 0;
  for (const std::int64_t count : counts) {
    const double share = static_cast<double>(count) / kShare;
    sum += share;
    squares += (share - mean) * (share - mean);
  }
  EXPECT_NEAR(sum / kWorkers, mean, 0.04);  // standard deviation at most 0.008
  EXPECT_NEAR(squares / kWorkers, variance + (most - variance) / kShare, 0.03 * most + 0.1 * variance);
}

// The whole distribution, each frequency within five of its standard deviations.
TEST_P(DirichletTest, SharesAreDistributedAsItsMarginals) {
  const std::vector<Ids> counts = Counts(2);
  for (int c = 0; c < classes(); ++c) {
    for (int n = 0; n <= kShare; ++n) {
      const double part = BetaBinomial(n, kShare, alpha(), (classes() - 1) * alpha());
      EXPECT_NEAR(std::count(counts[c].begin(), counts[c].end(), n), kWorkers * part,
                  5 * std::sqrt(kWorkers * part * (1 - part)) + 3)
          << n << " of class " << c;
    }
  }
}

// Neighbours' distributions have nothing to do with each other, nor have a worker's under two seeds.
TEST_P(DirichletTest, WorkersAndSeedsAreIndependent) {
  const Ids counts = Counts(3)[0], others = Counts(4)[0];
  const double mean = static_cast<double>(kShare) / classes();
  double square = 0, neighbours = 0, seeds = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double x = static_cast<double>(counts[i]) - mean;
    square += x * x;
    neighbours += x * (static_cast<double>(counts[(i + 1) % counts.size()]) - mean);
    seeds += x * (static_cast<double>(others[i]) - mean);
  }
  EXPECT_NEAR(neighbours / square, 0, 0.1);  // correlations, standard deviation 0.016
  EXPECT_NEAR(seeds / square, 0, 0.1);
}

}  // namespace
}  // namespace swarmsync
