#include "swarmsync/data/augmenter.h"

#include <algorithm>

#include "data/pixel_tables.h"

namespace swarmsync {
namespace {

constexpr std::int64_t kPadding = 4;

// A word to 0 … 2 · kPadding, by multiplication.
std::int64_t ToOffset(std::uint32_t word) {
  return static_cast<std::int64_t>((static_cast<std::uint64_t>(word) * (2 * kPadding + 1)) >> 32);
}

}  // namespace

Augmenter::Augmenter(Augmentation kind, ImageShape shape, const Normalization& normalization,
                     std::uint64_t seed)
    : kind_(kind), shape_(shape), philox_(seed) {
  RequireChannels(normalization, shape.channels);
  for (std::size_t c = 0; c < normalization.mean.size(); ++c) {
    black_.push_back(
        static_cast<float>(-static_cast<double>(normalization.mean[c]) / normalization.stddev[c]));
  }
}

void Augmenter::Apply(std::int64_t epoch, const std::int64_t* ids, std::int64_t n, float* images) const {
  if (kind_ == Augmentation::kNone) return;
  std::vector<float> before(static_cast<std::size_t>(shape_.num_pixels()));
  for (std::int64_t k = 0; k < n; ++k) {
    float* image = images + k * shape_.num_pixels();
    std::copy_n(image, shape_.num_pixels(), before.data());
    Move(DrawFor(epoch, ids[k]), before.data(), image);
  }
}

Augmenter::Draw Augmenter::DrawFor(std::int64_t epoch, std::int64_t id) const {
  const Philox::Block block = philox_({static_cast<std::uint32_t>(id), static_cast<std::uint32_t>(epoch), 0,
                                       static_cast<std::uint32_t>(RandomPurpose::kAugment)});
  return {ToOffset(block[0]) - kPadding, ToOffset(block[1]) - kPadding, (block[2] >> 31) != 0};
}

void Augmenter::Move(const Draw& draw, const float* from, float* to) const {
  const std::int64_t height = shape_.height, width = shape_.width;
  // Columns of the result that show the image: first … last - 1.
  const std::int64_t first = std::clamp<std::int64_t>(-draw.right, 0, width);
  const std::int64_t last = std::clamp<std::int64_t>(width - draw.right, first, width);
  for (const float black : black_) {
    for (std::int64_t row = 0; row < height; ++row, to += width) {
      const std::int64_t source = row + draw.down;
      if (source < 0 || source >= height) {
        std::fill_n(to, width, black);
        continue;
      }
      const float* pixels = from + source * width + draw.right;
      std::fill_n(to, first, black);
      std::copy(pixels + first, pixels + last, to + first);
      std::fill(to + last, to + width, black);
      if (draw.mirrored) std::reverse(to, to + width);
    }
    from += height * width;
  }
}

}  // namespace swarmsync
