#include "swarmsync/data/noisy_labels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "data/throws_with.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

using Labels = std::vector<std::int64_t>;

// Sample i is of class i % classes, and its two pixels are i and -i.
class PlainSet : public ImageSet {
 public:
  PlainSet(std::int64_t size, std::int64_t classes) : size_(size), classes_(classes) {}

  ImageShape shape() const override { return {1, 1, 2}; }
  std::int64_t size() const override { return size_; }
  std::int64_t label(std::int64_t i) const override {
    if (i < 0 || i >= size_) throw UsageError("no sample " + std::to_string(i));
    return i % classes_;
  }
  void Fill(const std::int64_t* indices, std::int64_t n, float* images, std::int64_t* labels) const override {
    for (std::int64_t k = 0; k < n; ++k) {
      labels[k] = label(indices[k]);
      images[2 * k] = static_cast<float>(indices[k]);
      images[2 * k + 1] = static_cast<float>(-indices[k]);
    }
  }

 private:
  std::int64_t size_, classes_;
};

NoisyLabels Noisy(std::int64_t size, LabelNoise noise, std::int64_t classes = 10) {
  return {std::make_shared<PlainSet>(size, classes), classes, noise};
}

Labels LabelsOf(const ImageSet& set) {
  Labels labels;
  for (std::int64_t i = 0; i < set.size(); ++i) labels.push_back(set.label(i));
  return labels;
}

struct Batch {
  Labels ids, labels;
  std::vector<float> images;
};

Batch Fill(const ImageSet& set, const Labels& ids) {
  Batch batch{ids, Labels(ids.size(), -1), std::vector<float>(2 * ids.size())};
  set.Fill(ids.data(), static_cast<std::int64_t>(ids.size()), batch.images.data(), batch.labels.data());
  return batch;
}

std::int64_t NumDifferent(const Labels& a, const Labels& b) {
  std::int64_t different = 0;
  for (std::size_t i = 0; i < a.size(); ++i) different += a[i] != b[i] ? 1 : 0;
  return different;
}

// By an independent script, with the Philox of sampler_test.cc:
//   for i in range(16):
//     u = (philox(seed, [i // 4, 0, rank, 6])[i % 4] >> 8) / 2**24
//     label = philox(seed, [i // 4, 1, rank, 6])[i % 4] * 10 >> 32 if u < part else i % 10
TEST(NoisyLabelsTest, ReplacesAsTheIndependentScript) {
  EXPECT_EQ(LabelsOf(Noisy(16, {0.5, 42, 3})), (Labels{7, 1, 2, 5, 4, 5, 9, 8, 8, 6, 1, 9, 8, 4, 0, 4}));
  EXPECT_EQ(LabelsOf(Noisy(16, {1, 0x123456789abcdef, 0})),
            (Labels{3, 7, 1, 6, 8, 3, 1, 5, 5, 7, 3, 9, 9, 0, 0, 5}));
}

TEST(NoisyLabelsTest, PartZeroReplacesNothing) {
  const PlainSet plain(5000, 10);
  for (const std::uint64_t seed : {0, 1, 2}) EXPECT_EQ(LabelsOf(Noisy(5000, {0, seed, 1})), LabelsOf(plain));
}

// Sample 11444725 draws exactly 0, the first one that does with seed 0 and rank 0; class 1 would replace its.
TEST(NoisyLabelsTest, PartZeroReplacesNotEvenWhereZeroIsDrawn) {
  EXPECT_EQ(Noisy(20000000, {0, 0, 0}).label(11444725), 5);
  EXPECT_EQ(Noisy(20000000, {1e-9, 0, 0}).label(11444725), 1);
}

// 200 expected in each of the 100 cells, standard deviation 14.
TEST(NoisyLabelsTest, PartOneMakesLabelsEvenAndUnrelatedToTheTrueOnes) {
  const Labels labels = LabelsOf(Noisy(20000, {1, 7, 0}));
  std::vector<std::vector<int>> counts(10, std::vector<int>(10));
  for (std::int64_t i = 0; i < 20000; ++i) {
    ASSERT_GE(labels[i], 0);
    ASSERT_LT(labels[i], 10);
    ++counts[i % 10][labels[i]];
  }
  for (const auto& row : counts) {
    for (const int count : row) EXPECT_NEAR(count, 200, 85);
  }
}

// A replaced label is the true one in a tenth of the cases: 20000 · part · 0.9, standard deviation at
// most 71.
TEST(NoisyLabelsTest, ChangesThePartLessTheHits) {
  const Labels plain = LabelsOf(PlainSet(20000, 10));
  for (const double part : {0.1, 0.5, 0.9}) {
    EXPECT_NEAR(NumDifferent(LabelsOf(Noisy(20000, {part, 3, 2})), plain), 20000 * part * 0.9, 400) << part;
  }
  const Labels two = LabelsOf(PlainSet(20000, 2));
  EXPECT_NEAR(NumDifferent(LabelsOf(Noisy(20000, {0.5, 3, 2}, 2)), two), 20000 * 0.25, 400);
  EXPECT_EQ(LabelsOf(Noisy(100, {1, 3, 2}, 1)), Labels(100, 0));  // one class leaves no choice
}

TEST(NoisyLabelsTest, FillAgreesWithLabelInAnyBatch) {
  const NoisyLabels set = Noisy(1000, {0.5, 11, 1});
  const Labels labels = LabelsOf(set);
  EXPECT_NE(labels, LabelsOf(PlainSet(1000, 10)));
  Labels ids(1000);
  std::iota(ids.begin(), ids.end(), 0);
  EXPECT_EQ(Fill(set, ids).labels, labels);
  EXPECT_EQ(Fill(set, ids).labels, labels);  // again
  std::reverse(ids.begin(), ids.end());
  EXPECT_EQ(Fill(set, ids).labels, Labels(labels.rbegin(), labels.rend()));
  for (const Labels& batch : {Labels{999}, Labels{5, 5, 5}, Labels{998, 3, 500, 3, 1}, Labels{}}) {
    const Labels filled = Fill(set, batch).labels;
    for (std::size_t k = 0; k < batch.size(); ++k) EXPECT_EQ(filled[k], labels[batch[k]]);
  }
}

TEST(NoisyLabelsTest, LeavesEverythingElseAlone) {
  const auto plain = std::make_shared<PlainSet>(50, 10);
  const NoisyLabels set(plain, 10, {1, 5, 0});
  EXPECT_EQ(set.size(), 50);
  EXPECT_EQ(set.shape(), plain->shape());
  const Labels ids = {49, 0, 7, 7, 31};
  EXPECT_EQ(Fill(set, ids).images, Fill(*plain, ids).images);
  EXPECT_NE(Fill(set, ids).labels, Fill(*plain, ids).labels);
  EXPECT_THROW(set.label(50), UsageError);
  EXPECT_THROW(set.label(-1), UsageError);
  EXPECT_THROW(Fill(set, {3, 50}), UsageError);
}

// Two noises that know nothing of each other agree on a tenth of the labels: 500 of 5000, deviation 21.
TEST(NoisyLabelsTest, DependsOnSeedAndRankAlone) {
  const auto labels = [](std::uint64_t seed, std::int64_t rank) {
    return LabelsOf(Noisy(5000, {1, seed, rank}));
  };
  EXPECT_EQ(labels(1, 2), labels(1, 2));
  const std::vector<Labels> all = {labels(1, 0), labels(1, 1), labels(1, 2), labels(2, 0),
                                   labels(1 + (std::uint64_t{1} << 32), 0)};
  for (std::size_t a = 0; a < all.size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) EXPECT_NEAR(NumDifferent(all[a], all[b]), 4500, 130) << a << b;
  }
  // A sample's label is the same in a longer set.
  const Labels few = LabelsOf(Noisy(100, {1, 1, 0}));
  EXPECT_TRUE(std::equal(few.begin(), few.end(), all[0].begin()));
}

// Which labels are replaced does not tell by what.
TEST(NoisyLabelsTest, ReplacesByAnyClassWhateverThePart) {
  const Labels some = LabelsOf(Noisy(20000, {0.1, 9, 0})), plain = LabelsOf(PlainSet(20000, 10));
  std::vector<int> counts(10);
  for (std::size_t i = 0; i < some.size(); ++i) counts[some[i]] += some[i] != plain[i] ? 1 : 0;
  for (const int count : counts) EXPECT_NEAR(count, 180, 80);  // standard deviation 13
}

TEST(NoisyLabelsTest, RefusesWhatIsNoPartAndNoClass) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double part : {-0.001, 1.001, kNan, kInfinity, -kInfinity}) {
    ExpectThrowsWith<UsageError>([&] { Noisy(3, {part, 0, 0}); }, {"label noise is ", "from 0 to 1"});
  }
  ExpectThrowsWith<UsageError>([] { Noisy(3, {1.5, 0, 0}); }, {"1.5"});
  const auto plain = std::make_shared<PlainSet>(3, 1);
  for (const std::int64_t classes : {0, -1}) {
    ExpectThrowsWith<UsageError>([&] { NoisyLabels(plain, classes, {}); },
                                 {std::to_string(classes) + " classes", "at least 1"});
  }
  EXPECT_NO_THROW(Noisy(3, {0, 0, 0}));
  EXPECT_NO_THROW(Noisy(3, {1, 0, 0}));
}

}  // namespace
}  // namespace swarmsync
