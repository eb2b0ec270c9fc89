#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "swarmsync/data/dataset.h"

namespace swarmsync {

// Labelled images that lie in memory as bytes, channel after channel: what the readers of files have in
// common. Immutable; safe to read from any thread.
class ByteImages {
 public:
  virtual ~ByteImages() = default;

  virtual ImageShape shape() const = 0;
  virtual std::int64_t size() const = 0;

  // Of sample i, 0 <= i < size(), which is not checked. pixels: [channels, height, width].
  virtual const std::uint8_t* pixels(std::int64_t i) const = 0;
  virtual std::int64_t label(std::int64_t i) const = 0;

  // Where they come from, for messages.
  virtual std::string images_name() const = 0;
  virtual std::string labels_name() const { return images_name(); }
};

// Throws DataError with the index and the value of the first label that is not below `num_classes`.
void CheckLabels(const ByteImages& images, std::int64_t num_classes);

// The highest label + 1. Throws DataError when one of the classes below it has no sample: a gap is far more
// often a mistake in the making of the file than a class that nobody has seen.
std::int64_t CountClasses(const ByteImages& images);

// Mean and standard deviation (of the population) of each channel over all pixels, scaled to 0..1. Throws
// DataError when all pixels of a channel are equal. Exact in the counts: one pass for a histogram.
Normalization ComputeNormalization(const ByteImages& images);

// Throws UsageError when the normalization is for another number of channels.
std::shared_ptr<const ImageSet> MakeImageSet(std::shared_ptr<const ByteImages> images,
                                             const Normalization& normalization);

}  // namespace swarmsync
