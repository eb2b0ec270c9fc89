#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace swarmsync {

struct ImageExtent {
  std::int64_t height = 0;
  std::int64_t width = 0;
};

// An image as rows of pixels of three bytes, red, green and blue. Gray is made RGB; transparency lies on
// black.
struct RgbImage {
  ImageExtent extent;
  std::vector<std::uint8_t> pixels;  // [height, width, 3]
};

// These tell PNG from JPEG by the first bytes. Local; safe to call from any thread. They throw DataError,
// with `where` at its beginning, for bytes that are neither or are damaged; a JPEG that ends early counts as
// damaged.

// The size that the header claims.
ImageExtent PeekImage(const std::uint8_t* bytes, std::size_t size, const std::string& where);

RgbImage DecodeImage(const std::uint8_t* bytes, std::size_t size, const std::string& where);

// The image at another size, resampled over as many pixels as one of the result covers.
RgbImage Resize(const RgbImage& image, ImageExtent extent);

// [height, width, 3] to [3, height, width].
void ToPlanes(const std::uint8_t* pixels, std::int64_t num_pixels, std::uint8_t* planes);

}  // namespace swarmsync
