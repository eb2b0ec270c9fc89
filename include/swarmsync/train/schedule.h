#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace swarmsync {

// How the learning rate changes over a training. It is a function of the samples that all workers have seen,
// counted in passes over the training set, so that worlds and batches of different size compare.
struct Schedule {
  // The shape of the curve.
  enum class Kind {
    kConstant,  // 1
    kCosine,    // half a wave, from 1 down to 0 at the end (Loshchilov and Hutter 2017, without restarts)
    kStep,      // times `gamma` at each milestone
  };
  Kind kind = Kind::kConstant;     // of the factor, apart from a warm-up
  std::vector<double> milestones;  // passes over the training set, ascending, above 0; kStep only
  double gamma = 0.1;              // above 0; kStep only
};

// "constant", "cosine", "step:30,60" or, with another gamma, "step:30,60@0.2". Throws UsageError.
Schedule ParseSchedule(const std::string& text);
// As text, for ParseSchedule().
std::string ToString(const Schedule& schedule);

// What the learning rate is multiplied by for a step that begins after `seen` passes of `total` and adds
// `step` of them. warmup: passes at whose beginning it rises evenly, from nothing to what the schedule says.
double LearningRateFactor(const Schedule& schedule, double warmup, double seen, double step, double total);

// The same of a step, from 1, where `steps_per_epoch` make a pass and `total_steps` the training.
double LearningRateFactorOfStep(const Schedule& schedule, double warmup, std::int64_t step,
                                std::int64_t steps_per_epoch, std::int64_t total_steps);

}  // namespace swarmsync
