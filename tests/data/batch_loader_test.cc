#include "swarmsync/data/batch_loader.h"

#include <gtest/gtest.h>

#include "data/throws_with.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

// Images of one pixel, whose value and label are the sample's number. Sample `broken` cannot be read.
class Numbers : public ImageSet {
 public:
  explicit Numbers(std::int64_t size, std::int64_t broken = -1) : size_(size), broken_(broken) {}
  ImageShape shape() const override { return {1, 1, 1}; }
  std::int64_t size() const override { return size_; }
  std::int64_t label(std::int64_t i) const override { return i; }
  void Fill(const std::int64_t* indices, std::int64_t n, float* images, std::int64_t* labels) const override {
    for (std::int64_t k = 0; k < n; ++k) {
      if (indices[k] == broken_) throw DataError("sample is broken");
      images[k] = static_cast<float>(indices[k]);
      labels[k] = indices[k];
    }
  }

 private:
  std::int64_t size_, broken_;
};

class BatchLoaderTest : public testing::Test {
 protected:
  static constexpr std::int64_t kBatch = 3, kSamples = 20;

  ShardedSampler MakeSampler() const {
    ShardedSamplerOptions options;
    options.num_samples = kSamples;
    options.batch_size = kBatch;
    options.seed = 5;
    return ShardedSampler(options);
  }
  std::vector<BatchMemory> Memory(std::size_t places) {
    images_.assign(places * kBatch, -1);
    labels_.assign(places * kBatch, -1);
    std::vector<BatchMemory> memory;
    for (std::size_t i = 0; i < places; ++i)
      memory.push_back({images_.data() + i * kBatch, labels_.data() + i * kBatch});
    return memory;
  }

  std::vector<float> images_;
  std::vector<std::int64_t> labels_;
  const Augmenter as_they_are_{Augmentation::kNone, {1, 1, 1}, {{0.0f}, {1.0f}}, 0};
};

TEST_F(BatchLoaderTest, GivesTheSamplersBatchesInOrderWithAnyThreadsAndMemory) {
  const Numbers set(kSamples);
  constexpr std::int64_t kBatches = 200;  // 33 epochs of 6 and a part
  for (const auto& [threads, places] : {std::pair{0, 1}, {0, 3}, {1, 2}, {1, 5}, {3, 2}, {4, 9}}) {
    ShardedSampler sampler = MakeSampler(), same = MakeSampler();
    BatchLoader loader(set, sampler, as_they_are_, kBatches, Memory(static_cast<std::size_t>(places)),
                       threads);
    for (std::int64_t batch = 0; batch < kBatches; ++batch) {
      const std::size_t place = loader.Next();
      const SampleIds ids = same.Indices(batch / 6, batch % 6);
      for (std::int64_t k = 0; k < kBatch; ++k) {
        ASSERT_EQ(labels_[place * kBatch + static_cast<std::size_t>(k)], ids.data[k])
            << threads << " " << batch;
        ASSERT_EQ(images_[place * kBatch + static_cast<std::size_t>(k)], static_cast<float>(ids.data[k]));
      }
    }
    ExpectThrowsWith<UsageError>([&] { loader.Next(); }, {"all 200 batches"});
  }
}

TEST_F(BatchLoaderTest, AugmentsWithTheEpochOfTheBatch) {
  const Numbers set(kSamples);
  const Augmenter standard(Augmentation::kStandard, {1, 1, 1}, {{0.5f}, {0.5f}}, 3);
  std::vector<float> expected, got;
  ShardedSampler same = MakeSampler();
  for (std::int64_t batch = 0; batch < 12; ++batch) {
    const SampleIds ids = same.Indices(batch / 6, batch % 6);
    std::vector<float> images;
    for (const std::int64_t id : ids) images.push_back(static_cast<float>(id));
    standard.Apply(batch / 6, ids.data, ids.size, images.data());
    expected.insert(expected.end(), images.begin(), images.end());
  }
  ShardedSampler sampler = MakeSampler();
  BatchLoader loader(set, sampler, standard, 12, Memory(4), 2);
  for (std::int64_t batch = 0; batch < 12; ++batch) {
    const float* images = images_.data() + loader.Next() * kBatch;
    got.insert(got.end(), images, images + kBatch);
  }
  EXPECT_EQ(got, expected);
}

TEST_F(BatchLoaderTest, TellsTheReaderOfAFailure) {
  const Numbers set(kSamples, /*broken=*/7);
  for (const int threads : {0, 1, 3}) {
    ShardedSampler sampler = MakeSampler();
    BatchLoader loader(set, sampler, as_they_are_, 60, Memory(4), threads);
    ExpectThrowsWith<DataError>(
        [&] {
          for (int batch = 0; batch < 60; ++batch) loader.Next();
        },
        {"sample is broken"});
  }
}

TEST_F(BatchLoaderTest, CanBeDroppedAtAnyTime) {
  const Numbers set(kSamples);
  for (int taken = 0; taken < 8; ++taken) {
    ShardedSampler sampler = MakeSampler();
    BatchLoader loader(set, sampler, as_they_are_, 1000, Memory(4), 3);
    for (int batch = 0; batch < taken; ++batch) loader.Next();
  }
}

TEST_F(BatchLoaderTest, NeedsMemory) {
  const Numbers set(kSamples);
  ShardedSampler sampler = MakeSampler();
  ExpectThrowsWith<UsageError>([&] { BatchLoader(set, sampler, as_they_are_, 1, {}, 0); },
                               {"at least one batch"});
  ExpectThrowsWith<UsageError>([&] { BatchLoader(set, sampler, as_they_are_, 1, Memory(1), 1); },
                               {"two batches"});
}

}  // namespace
}  // namespace swarmsync
