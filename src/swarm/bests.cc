#include "swarmsync/swarm/bests.h"

#include <cmath>

namespace swarmsync {
namespace {

// A remembered best worsens; one that does not exist yet stays as it is.
double Worsened(double best, double rate) {
  return std::isfinite(best) ? best + rate * std::abs(best) : best;
}

}  // namespace

int BestOf(const std::vector<double>& fitness) {
  int best = -1;
  for (int i = 0; i < static_cast<int>(fitness.size()); ++i) {
    if (std::isfinite(fitness[i]) && (best < 0 || fitness[i] < fitness[best])) best = i;
  }
  return best;
}

int AnyOf(const std::vector<double>& fitness, std::uint32_t word) {
  std::vector<int> finite;
  for (int i = 0; i < static_cast<int>(fitness.size()); ++i) {
    if (std::isfinite(fitness[i])) finite.push_back(i);
  }
  return finite.empty() ? -1 : finite[(std::uint64_t{word} * finite.size()) >> 32];
}

Bests::Verdict Bests::Update(const std::vector<double>& fitness, int rank, int guide) {
  if (memory_ == Memory::kCurrent) personal_ = global_ = kNoFitness;
  if (memory_ == Memory::kDecay) {
    personal_ = Worsened(personal_, decay_);
    global_ = Worsened(global_, decay_);
  }
  Verdict verdict;
  if (std::isfinite(fitness[rank]) && fitness[rank] < personal_) {
    personal_ = fitness[rank];
    verdict.personal_replaced = true;
  }
  if (guide >= 0 && fitness[guide] < global_) {
    global_ = fitness[guide];
    verdict.global_replaced = true;
  }
  return verdict;
}

}  // namespace swarmsync
