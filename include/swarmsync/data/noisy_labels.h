#pragma once

#include <cstdint>
#include <memory>

#include "swarmsync/base/philox.h"
#include "swarmsync/data/dataset.h"

namespace swarmsync {

// How much of the labels is noise, and which.
struct LabelNoise {
  double part = 0;         // of the samples whose labels are replaced, 0-1
  std::uint64_t seed = 0;  // of the draws
  std::int64_t rank = 0;   // of the worker who sees this noise
};

// A set with some labels replaced by classes drawn evenly at random (which may hit the true one), for
// experiments with a worker whose data are bad. Whether and by what sample i's label is replaced depends on
// (seed, rank, i) alone: words i of the Philox streams of kLabelNoise with rounds 0 and 1. The images are the
// inner set's. Immutable, safe for any thread, as ImageSet.
class NoisyLabels : public ImageSet {
 public:
  // Throws UsageError when part is outside 0-1 or num_classes is below 1.
  NoisyLabels(std::shared_ptr<const ImageSet> inner, std::int64_t num_classes, LabelNoise noise);

  ImageShape shape() const override { return inner_->shape(); }
  std::int64_t size() const override { return inner_->size(); }
  std::int64_t label(std::int64_t i) const override { return Replaced(i, inner_->label(i)); }
  void Fill(const std::int64_t* indices, std::int64_t n, float* images, std::int64_t* labels) const override;

 private:
  std::int64_t Replaced(std::int64_t i, std::int64_t label) const;

  std::shared_ptr<const ImageSet> inner_;
  std::int64_t num_classes_;
  LabelNoise noise_;
  Philox philox_;
};

}  // namespace swarmsync
