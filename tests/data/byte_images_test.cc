#include "data/byte_images.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "data/throws_with.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

class FakeImages : public ByteImages {
 public:
  FakeImages(ImageShape shape, std::vector<std::uint8_t> pixels, std::vector<std::int64_t> labels)
      : shape_(shape), pixels_(std::move(pixels)), labels_(std::move(labels)) {}

  ImageShape shape() const override { return shape_; }
  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }
  const std::uint8_t* pixels(std::int64_t i) const override {
    return pixels_.data() + i * shape_.num_pixels();
  }
  std::int64_t label(std::int64_t i) const override { return labels_[static_cast<std::size_t>(i)]; }
  std::string images_name() const override { return "the images"; }
  std::string labels_name() const override { return "the labels"; }

 private:
  ImageShape shape_;
  std::vector<std::uint8_t> pixels_;
  std::vector<std::int64_t> labels_;
};

FakeImages WithLabels(std::vector<std::int64_t> labels) {
  std::vector<std::uint8_t> pixels(labels.size());
  return {{1, 1, 1}, std::move(pixels), std::move(labels)};
}

TEST(ByteImagesTest, ChecksLabels) {
  const FakeImages images = WithLabels({0, 1, 3, 255});
  EXPECT_NO_THROW(CheckLabels(images, 256));
  ExpectThrowsWith<DataError>([&] { CheckLabels(images, 3); },
                              {"the labels", "label 3 of sample 2", "0 to 2"});
  ExpectThrowsWith<DataError>([&] { CountClasses(images); }, {"no sample has label 2", "label 255"});
  EXPECT_EQ(CountClasses(WithLabels({0, 0})), 1);
  EXPECT_EQ(CountClasses(WithLabels({2, 0, 1})), 3);
}

TEST(ByteImagesTest, ComputesTheNormalizationOfEachChannel) {
  // Values 0, 255, 255, 51 are 0, 1, 1, .2: mean .55, variance (.3025 + .2025 + .2025 + .1225) / 4 = .2075.
  const FakeImages images({2, 1, 2}, {0, 255, 0, 0, 255, 51, 255, 255}, {0, 0});
  const Normalization normalization = ComputeNormalization(images);
  ASSERT_EQ(normalization.mean.size(), 2u);
  ASSERT_EQ(normalization.stddev.size(), 2u);
  EXPECT_FLOAT_EQ(normalization.mean[0], 0.55f);
  EXPECT_FLOAT_EQ(normalization.stddev[0], std::sqrt(0.2075f));
  EXPECT_FLOAT_EQ(normalization.mean[1], 0.5f);
  EXPECT_FLOAT_EQ(normalization.stddev[1], 0.5f);
  ExpectThrowsWith<DataError>(
      [&] {
        ComputeNormalization(FakeImages({1, 1, 2}, {9, 9, 9, 9}, {0, 0}));
      },
      {"the images", "every pixel of every image is 9", "nothing to learn"});
  ExpectThrowsWith<DataError>(
      [&] {
        ComputeNormalization(FakeImages({2, 1, 1}, {1, 9, 2, 9}, {0, 0}));
      },
      {"9 in one channel"});
}

TEST(ByteImagesTest, FillsNormalizedChannels) {
  const auto images = std::make_shared<FakeImages>(
      ImageShape{2, 1, 2}, std::vector<std::uint8_t>{0, 255, 51, 102, 255, 0, 204, 153},
      std::vector<std::int64_t>{4, 7});
  const auto set = MakeImageSet(images, {{0.5f, 0.0f}, {0.5f, 2.0f}});
  const std::vector<std::int64_t> indices{1, 0};
  std::vector<float> filled(8);
  std::vector<std::int64_t> labels(2);
  set->Fill(indices.data(), 2, filled.data(), labels.data());
  const std::vector<float> expected{1, -1, 0.4f, 0.3f, -1, 1, 0.1f, 0.2f};
  for (std::size_t i = 0; i < 8; ++i) EXPECT_FLOAT_EQ(filled[i], expected[i]) << i;
  EXPECT_EQ(labels, (std::vector<std::int64_t>{7, 4}));
  EXPECT_EQ(set->label(1), 7);
  ExpectThrowsWith<UsageError>([&] { set->label(2); }, {"sample 2", "the images", "samples 0 to 1"});
  ExpectThrowsWith<UsageError>([&] { MakeImageSet(images, {{0.5f}, {0.5f}}); }, {"2 channels"});
}

}  // namespace
}  // namespace swarmsync
