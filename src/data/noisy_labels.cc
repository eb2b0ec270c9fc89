#include "swarmsync/data/noisy_labels.h"

#include <fmt/format.h>

#include <utility>

#include "swarmsync/base/error.h"

namespace swarmsync {

NoisyLabels::NoisyLabels(std::shared_ptr<const ImageSet> inner, std::int64_t num_classes, LabelNoise noise)
    : inner_(std::move(inner)), num_classes_(num_classes), noise_(noise), philox_(noise.seed) {
  if (!(noise.part >= 0 && noise.part <= 1)) {
    throw UsageError(fmt::format("label noise is {}; it must be from 0 to 1", noise.part));
  }
  if (num_classes < 1) throw UsageError(fmt::format("{} classes; there must be at least 1", num_classes));
}

void NoisyLabels::Fill(const std::int64_t* indices, std::int64_t n, float* images,
                       std::int64_t* labels) const {
  inner_->Fill(indices, n, images, labels);
  for (std::int64_t k = 0; k < n; ++k) labels[k] = Replaced(indices[k], labels[k]);
}

std::int64_t NoisyLabels::Replaced(std::int64_t i, std::int64_t label) const {
  const auto index = static_cast<std::uint64_t>(i);
  const auto rank = static_cast<std::uint32_t>(noise_.rank);
  if (philox_.Uniform(index, /*round=*/0, rank, RandomPurpose::kLabelNoise) >= noise_.part) return label;
  const std::uint64_t word = philox_.Word(index, /*round=*/1, rank, RandomPurpose::kLabelNoise);
  return static_cast<std::int64_t>((word * static_cast<std::uint64_t>(num_classes_)) >> 32);
}

}  // namespace swarmsync
