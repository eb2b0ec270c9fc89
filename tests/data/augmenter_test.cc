#include "swarmsync/data/augmenter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "data/throws_with.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

constexpr ImageShape kShape{2, 7, 5};
const Normalization kNormalization{{0.5f, 0.25f}, {0.25f, 0.5f}};  // black is -2 and -0.5

std::vector<float> CountingImages(std::int64_t n, ImageShape shape) {
  std::vector<float> images(static_cast<std::size_t>(n * shape.num_pixels()));
  std::iota(images.begin(), images.end(), 0.0f);
  return images;
}

// The augmentation as its comment describes it: pad, crop, mirror.
std::vector<float> Expected(const std::vector<float>& image, ImageShape shape,
                            const std::vector<float>& black, Philox::Block words) {
  const auto offset = [](std::uint32_t word) { return static_cast<std::int64_t>(word * 9.0 / 4294967296.0); };
  std::vector<float> out;
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    for (std::int64_t y = 0; y < shape.height; ++y) {
      for (std::int64_t x = 0; x < shape.width; ++x) {
        const std::int64_t from_x = (words[2] >= 1u << 31 ? shape.width - 1 - x : x) + offset(words[1]) - 4;
        const std::int64_t from_y = y + offset(words[0]) - 4;
        const bool inside = from_x >= 0 && from_x < shape.width && from_y >= 0 && from_y < shape.height;
        out.push_back(
            inside ? image[static_cast<std::size_t>((c * shape.height + from_y) * shape.width + from_x)]
                   : black[static_cast<std::size_t>(c)]);
      }
    }
  }
  return out;
}

TEST(AugmenterTest, PadsCropsAndMirrorsAsThePhiloxBlockSays) {
  for (const ImageShape shape : {kShape, ImageShape{2, 3, 2}, ImageShape{2, 1, 1}, ImageShape{2, 32, 32}}) {
    const Augmenter augmenter(Augmentation::kStandard, shape, kNormalization, 77);
    const std::vector<std::int64_t> ids{0, 5, 1, 1000000, 5};
    const std::vector<float> before = CountingImages(5, shape);
    for (const std::int64_t epoch : {0, 3}) {
      std::vector<float> images = before;
      augmenter.Apply(epoch, ids.data(), 5, images.data());
      for (std::size_t k = 0; k < 5; ++k) {
        const std::size_t size = static_cast<std::size_t>(shape.num_pixels()), begin = k * size;
        const Philox::Block words =
            Philox(77)({static_cast<std::uint32_t>(ids[k]), static_cast<std::uint32_t>(epoch), 0, 10});
        const std::vector<float> image(before.begin() + begin, before.begin() + begin + size);
        const std::vector<float> got(images.begin() + begin, images.begin() + begin + size);
        EXPECT_EQ(got, Expected(image, shape, {-2.0f, -0.5f}, words)) << ToString(shape) << " image " << k;
      }
    }
  }
}

TEST(AugmenterTest, AllShiftsAreAsLikely) {
  // One bright pixel in the middle shows where the crop was.
  const ImageShape shape{1, 9, 9};
  const Augmenter augmenter(Augmentation::kStandard, shape, {{0.5f}, {0.5f}}, 1);
  std::map<std::int64_t, int> places;
  constexpr int kImages = 8100;
  for (std::int64_t id = 0; id < kImages; ++id) {
    std::vector<float> image(81);
    image[40] = 9;
    augmenter.Apply(2, &id, 1, image.data());
    ++places[std::find(image.begin(), image.end(), 9.0f) - image.begin()];
  }
  EXPECT_EQ(places.size(), 81u);
  for (const auto& [place, count] : places) EXPECT_NEAR(count, kImages / 81, 45) << place;  // 4.5 deviations
}

TEST(AugmenterTest, NoneLeavesTheImages) {
  const Augmenter augmenter(Augmentation::kNone, kShape, kNormalization, 1);
  std::vector<float> images = CountingImages(1, kShape);
  const std::int64_t id = 3;
  augmenter.Apply(0, &id, 1, images.data());
  EXPECT_EQ(images, CountingImages(1, kShape));
}

TEST(AugmenterTest, RefusesANormalizationOfOtherImages) {
  ExpectThrowsWith<UsageError>(
      [] {
        Augmenter(Augmentation::kStandard, kShape, {{0.5f}, {0.5f}}, 1);
      },
      {"1 means", "2 channels"});
}

}  // namespace
}  // namespace swarmsync
