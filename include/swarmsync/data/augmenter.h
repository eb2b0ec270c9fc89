#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "swarmsync/base/names.h"
#include "swarmsync/base/philox.h"
#include "swarmsync/data/dataset.h"

namespace swarmsync {

// What is done to training images before the model sees them.
enum class Augmentation {
  kNone,      // nothing
  kStandard,  // for small photographs (He et al. 2016): padded by 4 on each side with black, a random crop of
              // the old size, and every second one mirrored
};
template <>
struct EnumNames<Augmentation> {
  static constexpr std::string_view kWhat = "augmentation";
  static constexpr std::array<std::pair<Augmentation, std::string_view>, 2> kNames{
      {{Augmentation::kNone, "none"}, {Augmentation::kStandard, "standard"}}};
};

// Augments images as a pure function of (seed, epoch, sample): block `sample` of the Philox stream of
// kAugment with round = epoch. Its words 0 and 1, scaled to 0 … 8, are how far down and right the crop begins
// in the padded image; the top bit of word 2 mirrors. So a repeated or resumed run sees the same images,
// whichever worker or thread makes them. Immutable; safe to call from any thread. Local.
class Augmenter {
 public:
  // normalization: of the images that Apply() is given; black, which comes in from the sides, is its zero.
  Augmenter(Augmentation kind, ImageShape shape, const Normalization& normalization, std::uint64_t seed);

  // images: [n, channels, height, width], of the samples ids[0 … n-1], in place.
  void Apply(std::int64_t epoch, const std::int64_t* ids, std::int64_t n, float* images) const;

 private:
  struct Draw {
    std::int64_t down;   // the crop's first row in the image, -4 … 4; outside of it is black
    std::int64_t right;  // likewise its first column
    bool mirrored;
  };
  Draw DrawFor(std::int64_t epoch, std::int64_t id) const;
  void Move(const Draw& draw, const float* from, float* to) const;

  Augmentation kind_;
  ImageShape shape_;
  std::vector<float> black_;  // [channels]
  Philox philox_;
};

}  // namespace swarmsync
