#include "swarmsync/train/evaluate.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "swarmsync/comm/thread_world.h"

namespace swarmsync {
namespace {

// Images of two pixels, small numbers that follow from the index; labels 0 … 2.
class FormulaSet : public ImageSet {
 public:
  explicit FormulaSet(std::int64_t size) : size_(size) {}
  ImageShape shape() const override { return {1, 1, 2}; }
  std::int64_t size() const override { return size_; }
  std::int64_t label(std::int64_t i) const override { return (i * 7 + i / 11) % 3; }
  static double Pixel(std::int64_t i, int pixel) {  // exact in float, and no two logits are ever equal
    return pixel == 0 ? static_cast<double>(i * 37 % 64) / 32 - 1
                      : static_cast<double>(i * 23 % 61) / 32 - 1 + 1.0 / 128;
  }
  void Fill(const std::int64_t* indices, std::int64_t n, float* images, std::int64_t* labels) const override {
    for (std::int64_t k = 0; k < n; ++k) {
      for (int pixel : {0, 1}) images[2 * k + pixel] = static_cast<float>(Pixel(indices[k], pixel));
      labels[k] = label(indices[k]);
    }
  }

 private:
  std::int64_t size_;
};

// logits = (a, b, a - b), and 100 more for class 0 while training, which would show.
class FormulaModel : public ImageClassifier {
 public:
  at::Tensor forward(const at::Tensor& images) override {
    EXPECT_FALSE(at::GradMode::is_enabled());
    const at::Tensor flat = images.flatten(1), a = flat.select(1, 0), b = flat.select(1, 1);
    return at::stack({a + (is_training() ? 100 : 0), b, a - b}, 1);
  }
};

// Counted by hand, in double.
Evaluation Expected(const FormulaSet& set, const std::vector<std::int64_t>& ids) {
  Evaluation result;
  result.samples = static_cast<std::int64_t>(ids.size());
  for (const std::int64_t id : ids) {
    const double a = FormulaSet::Pixel(id, 0), b = FormulaSet::Pixel(id, 1);
    const double logits[] = {a, b, a - b};
    const double log_sum = std::log(std::exp(a) + std::exp(b) + std::exp(a - b));
    result.loss += (log_sum - logits[set.label(id)]) / static_cast<double>(ids.size());
    const auto best = std::max_element(logits, logits + 3) - logits;
    if (best == set.label(id)) result.accuracy += 1;
  }
  result.accuracy /= static_cast<double>(ids.size());
  return result;
}

std::vector<Evaluation> EvaluateOnRanks(int ranks, const FormulaSet& set,
                                        const std::vector<std::int64_t>& ids) {
  ThreadWorld world(ranks);
  std::vector<Evaluation> results(static_cast<std::size_t>(ranks));
  world.Run([&](int rank) {
    FormulaModel model;
    model.train(rank % 2 == 0);
    results[static_cast<std::size_t>(rank)] =
        Evaluate(model, set, {ids.data(), static_cast<std::int64_t>(ids.size())}, *world.Connect(rank));
    EXPECT_EQ(model.is_training(), rank % 2 == 0) << "the mode is as before";
  });
  return results;
}

TEST(Evaluate, EqualsAHandCountOnAnyNumberOfRanks) {
  const FormulaSet set(2000);
  for (const std::int64_t size : {1, 3, 250, 251, 1009}) {
    std::vector<std::int64_t> ids;
    for (std::int64_t i = 0; i < size; ++i) ids.push_back((i * 17 + 5) % set.size());
    const Evaluation expected = Expected(set, ids);
    for (const int ranks : {1, 2, 3, 5, 8}) {
      for (const Evaluation& result : EvaluateOnRanks(ranks, set, ids)) {
        EXPECT_EQ(result.samples, size);
        EXPECT_NEAR(result.accuracy, expected.accuracy, 1e-12) << size << " samples, " << ranks << " ranks";
        EXPECT_NEAR(result.loss, expected.loss, 1e-5) << size << " samples, " << ranks << " ranks";
      }
    }
  }
}

TEST(Evaluate, IsTheSameToTheBitOnAllRanks) {
  const FormulaSet set(777);
  std::vector<std::int64_t> ids;
  for (std::int64_t i = 0; i < set.size(); ++i) ids.push_back(i);
  const std::vector<Evaluation> results = EvaluateOnRanks(4, set, ids);
  for (const Evaluation& result : results) {
    EXPECT_EQ(result.loss, results[0].loss);
    EXPECT_EQ(result.accuracy, results[0].accuracy);
  }
}

}  // namespace
}  // namespace swarmsync
