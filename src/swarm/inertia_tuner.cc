#include "swarmsync/swarm/inertia_tuner.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace swarmsync {

InertiaTuner::InertiaTuner(int workers, std::uint64_t seed)
    : philox_(seed), sums_(static_cast<std::size_t>(workers)) {
  for (int rank = 0; rank < workers; ++rank) {
    inertias_.push_back(kLeast + (kGreatest - kLeast) * (rank + 0.5) / workers);
  }
}

InertiaTuner::Lesson InertiaTuner::Update(const std::vector<double>& fitness) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < sums_.size(); ++i)
    sums_[i] += std::isfinite(fitness[i]) ? fitness[i] : kInfinity;
  ++exchange_;
  if (exchange_ % kRounds != 0) return {};

  const auto [best, worst] = std::minmax_element(sums_.begin(), sums_.end());
  Lesson lesson;
  if (*best < *worst) {
    lesson.teacher = static_cast<int>(best - sums_.begin());
    lesson.pupil = static_cast<int>(worst - sums_.begin());
    const float uniform =
        philox_.Uniform(0, exchange_, static_cast<std::uint32_t>(lesson.pupil), RandomPurpose::kInertia);
    const double change = kChange * (2 * static_cast<double>(uniform) - 1);
    inertias_[lesson.pupil] = std::clamp(inertias_[lesson.teacher] + change, 0.0, kCap);
  }
  std::fill(sums_.begin(), sums_.end(), 0.0);
  return lesson;
}

}  // namespace swarmsync
