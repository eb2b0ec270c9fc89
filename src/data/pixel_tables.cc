#include "data/pixel_tables.h"

#include <fmt/format.h>

#include "swarmsync/base/error.h"

namespace swarmsync {

void RequireChannels(const Normalization& normalization, std::int64_t num_channels) {
  const auto channels = static_cast<std::size_t>(num_channels);
  if (normalization.mean.size() != channels || normalization.stddev.size() != channels) {
    throw UsageError(fmt::format("a normalization with {} means and {} standard deviations for {} channels",
                                 normalization.mean.size(), normalization.stddev.size(), channels));
  }
}

PixelTables::PixelTables(const Normalization& normalization, std::int64_t num_channels) {
  RequireChannels(normalization, num_channels);
  tables_.resize(normalization.mean.size());
  for (std::size_t c = 0; c < tables_.size(); ++c) {
    const double mean = normalization.mean[c];
    const double stddev = normalization.stddev[c];
    if (!(stddev > 0)) {
      throw UsageError(
          fmt::format("the standard deviation of channel {} is {}; it must be above 0", c, stddev));
    }
    for (std::size_t value = 0; value < 256; ++value) {
      tables_[c][value] = static_cast<float>((static_cast<double>(value) / 255.0 - mean) / stddev);
    }
  }
}

}  // namespace swarmsync
