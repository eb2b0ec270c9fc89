#include "data/byte_images.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "data/pixel_tables.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

using Histogram = std::array<std::uint64_t, 256>;

// Images read where they lie.
class ByteImageSet : public ImageSet {
 public:
  ByteImageSet(std::shared_ptr<const ByteImages> images, const Normalization& normalization)
      : images_(std::move(images)),
        tables_(normalization, images_->shape().channels),
        num_pixels_(images_->shape().num_pixels()),
        channel_size_(static_cast<std::size_t>(images_->shape().height * images_->shape().width)) {}

  ImageShape shape() const override { return images_->shape(); }
  std::int64_t size() const override { return images_->size(); }

  std::int64_t label(std::int64_t i) const override {
    CheckIndex(i);
    return images_->label(i);
  }

  void Fill(const std::int64_t* indices, std::int64_t n, float* images, std::int64_t* labels) const override {
    for (std::int64_t k = 0; k < n; ++k) {
      const std::int64_t i = indices[k];
      CheckIndex(i);
      tables_.Convert(images_->pixels(i), channel_size_, images + k * num_pixels_);
      labels[k] = images_->label(i);
    }
  }

 private:
  void CheckIndex(std::int64_t i) const {
    if (i >= 0 && i < size()) return;
    throw UsageError(fmt::format("sample {} was asked of {}, which holds samples 0 to {}", i,
                                 images_->images_name(), size() - 1));
  }

  std::shared_ptr<const ByteImages> images_;
  PixelTables tables_;
  std::int64_t num_pixels_;
  std::size_t channel_size_;
};

std::vector<Histogram> CountValues(const ByteImages& images) {
  const ImageShape shape = images.shape();
  std::vector<Histogram> histograms(static_cast<std::size_t>(shape.channels));
  for (std::int64_t i = 0; i < images.size(); ++i) {
    const std::uint8_t* pixel = images.pixels(i);
    for (Histogram& histogram : histograms) {
      const std::uint8_t* const end = pixel + shape.height * shape.width;
      for (; pixel != end; ++pixel) ++histogram[*pixel];
    }
  }
  return histograms;
}

struct Moments {
  double mean = 0;
  double variance = 0;
};

Moments MomentsOf(const Histogram& histogram, double num_pixels) {
  Moments moments;
  for (std::size_t value = 0; value < 256; ++value) {
    moments.mean += static_cast<double>(histogram[value]) * static_cast<double>(value) / 255.0;
  }
  moments.mean /= num_pixels;
  for (std::size_t value = 0; value < 256; ++value) {
    const double deviation = static_cast<double>(value) / 255.0 - moments.mean;
    moments.variance += static_cast<double>(histogram[value]) * deviation * deviation;
  }
  moments.variance /= num_pixels;
  return moments;
}

}  // namespace

void CheckLabels(const ByteImages& images, std::int64_t num_classes) {
  for (std::int64_t i = 0; i < images.size(); ++i) {
    if (images.label(i) < num_classes) continue;
    throw DataError(fmt::format("{}: label {} of sample {} is out of range: the classes are 0 to {}",
                                images.labels_name(), images.label(i), i, num_classes - 1));
  }
}

std::int64_t CountClasses(const ByteImages& images) {
  std::vector<bool> occurs;
  for (std::int64_t i = 0; i < images.size(); ++i) {
    const auto label = static_cast<std::size_t>(images.label(i));
    if (label >= occurs.size()) occurs.resize(label + 1);
    occurs[label] = true;
  }
  const auto gap = std::find(occurs.begin(), occurs.end(), false);
  if (gap != occurs.end()) {
    throw DataError(fmt::format(
        "{}: no sample has label {}, yet there is label {}: number the classes from 0 without a gap",
        images.labels_name(), gap - occurs.begin(), occurs.size() - 1));
  }
  return static_cast<std::int64_t>(occurs.size());
}

Normalization ComputeNormalization(const ByteImages& images) {
  const ImageShape shape = images.shape();
  const auto num_pixels = static_cast<std::uint64_t>(images.size() * shape.height * shape.width);
  Normalization normalization;
  for (const Histogram& histogram : CountValues(images)) {
    const auto most = std::max_element(histogram.begin(), histogram.end());
    if (*most == num_pixels) {
      throw DataError(fmt::format("{}: every pixel of every image is {}{}: there is nothing to learn from",
                                  images.images_name(), most - histogram.begin(),
                                  shape.channels > 1 ? " in one channel" : ""));
    }
    const Moments moments = MomentsOf(histogram, static_cast<double>(num_pixels));
    normalization.mean.push_back(static_cast<float>(moments.mean));
    normalization.stddev.push_back(static_cast<float>(std::sqrt(moments.variance)));
  }
  return normalization;
}

std::shared_ptr<const ImageSet> MakeImageSet(std::shared_ptr<const ByteImages> images,
                                             const Normalization& normalization) {
  return std::make_shared<const ByteImageSet>(std::move(images), normalization);
}

}  // namespace swarmsync
