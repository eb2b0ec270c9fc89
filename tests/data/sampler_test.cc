#include "swarmsync/data/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "data/throws_with.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

ShardedSamplerOptions Options(std::int64_t num_samples, std::int64_t batch_size, std::int64_t world_size,
                              std::int64_t rank, std::uint64_t seed = 7) {
  ShardedSamplerOptions options;
  options.num_samples = num_samples;
  options.batch_size = batch_size;
  options.world_size = world_size;
  options.rank = rank;
  options.seed = seed;
  return options;
}

std::vector<std::int64_t> BatchOf(ShardedSampler* sampler, std::int64_t epoch, std::int64_t step) {
  const SampleIds ids = sampler->Indices(epoch, step);
  return {ids.begin(), ids.end()};
}

// One worker, one step: the whole permutation.
std::vector<std::int64_t> Permutation(std::int64_t n, std::uint64_t seed, std::int64_t epoch) {
  ShardedSampler sampler(Options(n, n, 1, 0, seed));
  return BatchOf(&sampler, epoch, 0);
}

// Drawn by an independent script, whose Philox gives the known answers of its authors (Random123):
//   def philox(seed, c):                     # c: four counter words
//     k = [seed & M, seed >> 32]             # M = 2^32 - 1
//     for _ in range(10):
//       p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
//       c = [p1 >> 32 ^ c[1] ^ k[0], p1 & M, p0 >> 32 ^ c[3] ^ k[1], p0 & M]
//       k = [k[0] + 0x9E3779B9 & M, k[1] + 0xBB67AE85 & M]
//     return c
//   p = list(range(n))
//   for w, i in enumerate(range(n - 1, 0, -1)):
//     j = philox(seed, [w // 4, epoch, 0, purpose])[w % 4] * (i + 1) >> 32
//     p[i], p[j] = p[j], p[i]
TEST(SamplerTest, PermutesAsTheIndependentScript) {
  EXPECT_EQ(Permutation(11, 42, 0), (std::vector<std::int64_t>{8, 3, 9, 5, 7, 1, 10, 2, 0, 4, 6}));
  EXPECT_EQ(Permutation(11, 0x123456789abcdef, 3),
            (std::vector<std::int64_t>{5, 10, 2, 6, 7, 9, 0, 3, 8, 1, 4}));
  const ValidationSplit split = SplitForValidation(20, 5, 7);  // purpose 1: the first five positions, sorted
  EXPECT_EQ(split.validation, (std::vector<std::int64_t>{7, 13, 15, 18, 19}));
}

TEST(SamplerTest, ShardsAreDisjointAndCoverAllButTheTail) {
  for (const std::int64_t n : {1, 2, 3, 7, 16, 31, 60, 101}) {
    for (std::int64_t world = 1; world <= std::min<std::int64_t>(n, 8); ++world) {
      for (const std::int64_t batch : {1, 2, 3, 5, 13}) {
        if (world * batch > n) continue;
        std::multiset<std::int64_t> seen;
        for (std::int64_t rank = 0; rank < world; ++rank) {
          ShardedSampler sampler(Options(n, batch, world, rank));
          ASSERT_EQ(sampler.steps_per_epoch(), n / (world * batch));
          for (std::int64_t step = 0; step < sampler.steps_per_epoch(); ++step) {
            const std::vector<std::int64_t> ids = BatchOf(&sampler, 5, step);
            ASSERT_EQ(static_cast<std::int64_t>(ids.size()), batch);
            seen.insert(ids.begin(), ids.end());
          }
        }
        ASSERT_EQ(std::set<std::int64_t>(seen.begin(), seen.end()).size(), seen.size()) << "one seen twice";
        ASSERT_EQ(static_cast<std::int64_t>(seen.size()), n - n % (world * batch));
        ASSERT_GE(*seen.begin(), 0);
        ASSERT_LT(*seen.rbegin(), n);
      }
    }
  }
}

TEST(SamplerTest, WorkersSeeWhatOneWithTheirWholeBatchSees) {
  for (const std::int64_t world : {2, 3, 4, 8}) {
    const std::int64_t n = 103, batch = 4;
    ShardedSampler whole(Options(n, world * batch, 1, 0));
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
      for (std::int64_t step = 0; step < whole.steps_per_epoch(); ++step) {
        std::vector<std::int64_t> together;
        for (std::int64_t rank = 0; rank < world; ++rank) {
          ShardedSampler sampler(Options(n, batch, world, rank));
          const std::vector<std::int64_t> ids = BatchOf(&sampler, epoch, step);
          together.insert(together.end(), ids.begin(), ids.end());
        }
        ASSERT_EQ(together, BatchOf(&whole, epoch, step));
      }
    }
  }
}

TEST(SamplerTest, OrderDependsOnSeedAndEpochAlone) {
  std::set<std::vector<std::int64_t>> orders;
  for (std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 32}) {
    for (std::int64_t epoch = 0; epoch < 4; ++epoch) orders.insert(Permutation(50, seed, epoch));
  }
  EXPECT_EQ(orders.size(), 12u);

  // A sampler that has been elsewhere draws the same: what a resumed run relies on.
  ShardedSampler a(Options(50, 5, 2, 1)), b(Options(50, 5, 2, 1));
  BatchOf(&a, 0, 0);
  BatchOf(&a, 9, 4);
  EXPECT_EQ(BatchOf(&a, 3, 2), BatchOf(&b, 3, 2));
  EXPECT_NE(BatchOf(&a, 3, 2), BatchOf(&a, 4, 2));
  EXPECT_EQ(BatchOf(&a, 3, 2), BatchOf(&b, 3, 2));
}

// Every order of three samples about equally often: 6000 epochs, 1000 expected of each, deviation 29.
TEST(SamplerTest, PermutationsAreUniform) {
  std::map<std::vector<std::int64_t>, int> counts;
  for (std::int64_t epoch = 0; epoch < 6000; ++epoch) ++counts[Permutation(3, 1, epoch)];
  ASSERT_EQ(counts.size(), 6u);
  for (const auto& [order, count] : counts) EXPECT_NEAR(count, 1000, 130);
}

TEST(SamplerTest, DrawsFromAListOfIds) {
  const ValidationSplit split = SplitForValidation(40, 10, 1);
  ShardedSamplerOptions options = Options(0, 30, 1, 0);
  options.sample_ids = split.train;
  ShardedSampler sampler(options);
  std::vector<std::int64_t> ids = BatchOf(&sampler, 0, 0);
  // Position by position, the id at the place that the permutation of 0 … 29 names.
  const std::vector<std::int64_t> places = Permutation(30, options.seed, 0);
  for (std::size_t i = 0; i < 30; ++i) EXPECT_EQ(ids[i], split.train[static_cast<std::size_t>(places[i])]);

  options.num_samples = 31;
  ExpectThrowsWith<UsageError>([&] { ShardedSampler bad(options); }, {"30 sample ids", "31"});
}

TEST(SamplerTest, RefusesWhatCannotBeSharded) {
  const auto expect = [](const ShardedSamplerOptions& options, const std::vector<std::string>& parts) {
    ExpectThrowsWith<UsageError>([&] { ShardedSampler sampler(options); }, parts);
  };
  expect(Options(1000, 300, 4, 0), {"batch of 300", "shard of 250", "1000 training samples", "4 workers",
                                    "batch size to at most 250", "workers to at most 3"});
  expect(Options(1000, 2000, 4, 0), {"batch of 2000", "batch size to at most 250"});
  expect(Options(3, 1, 4, 0), {"4 workers", "3 training samples", "at most 3"});
  expect(Options(1000, std::numeric_limits<std::int64_t>::max(), 4, 0), {"larger than a worker's shard"});
  expect(Options(0, 1, 1, 0), {"number of samples is 0"});
  expect(Options(10, 0, 1, 0), {"batch size is 0"});
  expect(Options(10, 1, 0, 0), {"number of workers is 0"});
  expect(Options(10, 1, 2, 2), {"rank 2", "0 to 1"});
  expect(Options(10, 1, 2, -1), {"rank -1"});
  expect(Options(std::int64_t{1} << 32, 1, 1, 0), {"4294967296 samples", "4294967295"});

  EXPECT_NO_THROW(ShardedSampler(Options(1000, 250, 4, 3)));
  ShardedSampler sampler(Options(10, 2, 2, 0));
  EXPECT_NO_THROW(sampler.Indices(0xffffffff, 1));
  ExpectThrowsWith<UsageError>([&] { sampler.Indices(0, 2); }, {"step 2", "0 to 1"});
  EXPECT_THROW(sampler.Indices(0, -1), UsageError);
  EXPECT_THROW(sampler.Indices(-1, 0), UsageError);
  EXPECT_THROW(sampler.Indices(std::int64_t{1} << 32, 0), UsageError);
}

TEST(SamplerTest, SplitsForValidation) {
  for (const std::int64_t num_validation : {0, 1, 10, 49}) {
    const ValidationSplit split = SplitForValidation(50, num_validation, 3);
    EXPECT_EQ(static_cast<std::int64_t>(split.validation.size()), num_validation);
    EXPECT_TRUE(std::is_sorted(split.train.begin(), split.train.end()));
    EXPECT_TRUE(std::is_sorted(split.validation.begin(), split.validation.end()));
    std::set<std::int64_t> all(split.train.begin(), split.train.end());
    all.insert(split.validation.begin(), split.validation.end());
    EXPECT_EQ(all.size(), 50u);
    EXPECT_EQ(split.train.size() + split.validation.size(), 50u);
  }
  EXPECT_EQ(SplitForValidation(50, 10, 3).validation, SplitForValidation(50, 10, 3).validation);
  EXPECT_NE(SplitForValidation(50, 10, 3).validation, SplitForValidation(50, 10, 4).validation);
  ExpectThrowsWith<UsageError>([] { SplitForValidation(50, -1, 3); }, {"-1 of 50", "0 to 49"});
  ExpectThrowsWith<UsageError>([] { SplitForValidation(50, 50, 3); }, {"50 of 50"});
  EXPECT_THROW(SplitForValidation(0, 0, 3), UsageError);
}

}  // namespace
}  // namespace swarmsync
