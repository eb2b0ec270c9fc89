#pragma once

#include <cstdint>

#include "swarmsync/comm/communicator.h"
#include "swarmsync/data/dataset.h"
#include "swarmsync/data/sampler.h"
#include "swarmsync/model/registry.h"

namespace swarmsync {

// How good a model is on some samples.
struct Evaluation {
  double loss = 0;           // mean cross entropy
  double accuracy = 0;       // 0-1
  std::int64_t samples = 0;  // how many they were, on all ranks together
};

constexpr std::int64_t kEvaluationBatch = 250;  // samples that go through the model together

// Evaluates the model, in evaluation mode and without gradients, on some samples of a set; each rank takes a
// part of them, on the device of its parameters. The result is the same on all ranks. Collective. The model's
// mode is as before afterwards.
Evaluation Evaluate(ImageClassifier& model, const ImageSet& set, SampleIds ids, Communicator& comm);

}  // namespace swarmsync
