#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "swarmsync/data/dataset.h"

namespace swarmsync {

// Throws UsageError unless there is a mean and a standard deviation for each channel.
void RequireChannels(const Normalization& normalization, std::int64_t num_channels);

// Converts bytes to normalized floats by looking them up: there are only 256 of them, so the division is done
// once, in double, and every batch costs one load and one store a pixel. Safe from any thread.
class PixelTables {
 public:
  // Throws UsageError unless there is a mean and a positive stddev for each channel.
  PixelTables(const Normalization& normalization, std::int64_t num_channels);

  // One image, channel after channel: `pixels` and `out` are [channels, pixels_per_channel].
  void Convert(const std::uint8_t* pixels, std::size_t pixels_per_channel, float* out) const {
    for (const std::array<float, 256>& table : tables_) {
      for (std::size_t i = 0; i < pixels_per_channel; ++i) out[i] = table[pixels[i]];
      pixels += pixels_per_channel;
      out += pixels_per_channel;
    }
  }

 private:
  std::vector<std::array<float, 256>> tables_;  // [channels]
};

}  // namespace swarmsync
