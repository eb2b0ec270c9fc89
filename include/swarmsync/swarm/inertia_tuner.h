#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "swarmsync/base/philox.h"

namespace swarmsync {

// Finds the inertia while the swarm trains, after population based training (Jaderberg et al. 2017): each
// worker has its own, and after every kRounds exchanges the worker with the worst fitness, the pupil, takes
// that of the one with the best, the teacher, changed by a little at random. All ranks keep all inertias;
// given the same fitnesses, they agree. Pure: the velocity, which goes with the inertia, is the caller's to
// copy.
class InertiaTuner {
 public:
  static constexpr int kRounds = 8;  // exchanges from one lesson to the next
  // The least that a first inertia can be; they are spread evenly.
  static constexpr double kLeast = 0.3, kGreatest = 0.9;  // the greatest
  static constexpr double kChange = 0.1;                  // of what is learned: at most, up or down
  static constexpr double kCap = 0.95;                    // no inertia is above it

  // The first inertias, which rise with the rank. seed: of the changes; the same on all workers.
  InertiaTuner(int workers, std::uint64_t seed);

  // Who learned from whom.
  struct Lesson {
    // The rank with the best fitness; -1 when nobody learns in this exchange.
    int teacher = -1, pupil = -1;  // the one with the worst; likewise
  };
  // One exchange. fitness: by rank; what is not finite is the worst.
  Lesson Update(const std::vector<double>& fitness);

  const std::vector<double>& inertias() const { return inertias_; }  // by rank

  // Calls visit(name, number) for each number that is remembered, all of them the same on all workers.
  template <class Visit>
  void VisitNumbers(Visit&& visit) {
    visit("exchange", exchange_);
    for (double& inertia : inertias_)
      visit("inertia." + std::to_string(&inertia - inertias_.data()), inertia);
    for (double& sum : sums_) visit("fitness." + std::to_string(&sum - sums_.data()), sum);
  }

 private:
  Philox philox_;
  std::uint32_t exchange_ = 0;
  std::vector<double> inertias_;
  std::vector<double> sums_;  // of the fitnesses since the last lesson
};

}  // namespace swarmsync
