#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "swarmsync/data/dataset.h"
#include "swarmsync/data/sampler.h"
#include "swarmsync/model/registry.h"
#include "swarmsync/train/config.h"
#include "swarmsync/train/trainer.h"

// What a worker of a run is made of, from the configuration: for those who train, and for who plans a
// training. All is local.
namespace swarmsync {

// The data set of the run. Throws what OpenDataset() does.
Dataset OpenData(const TrainConfig& config);
// Its training samples, and those that --validation holds out.
ValidationSplit SplitOf(const TrainConfig& config, const Dataset& data);

// Throws UsageError for a batch larger than a worker's share.
ShardedSampler MakeSampler(const TrainConfig& config, const Dataset& data, const ValidationSplit& split,
                           int world_size, int rank);
std::int64_t TotalSteps(const TrainConfig& config, const ShardedSampler& sampler);
// SyncOptions::rate: what the schedule, with its warm-up, makes of the learning rate. None where it makes
// nothing of it.
std::function<double(std::int64_t)> RateOf(const TrainConfig& config, const ShardedSampler& sampler);
// SyncOptions::round_ends; none where rounds are alike, or all steps warm up.
std::vector<std::int64_t> RoundEndsOf(const TrainConfig& config, const ShardedSampler& sampler);

double LearningRate(const TrainConfig& config, int rank);
at::MemoryFormat FormatOf(const TrainConfig& config, const at::Device& device);
// Whether threads are more than the streams of a GPU.
bool SharesStreams(const TrainConfig& config);
Recipe RecipeOf(const TrainConfig& config, int rank, const at::Device& device, const ImageClassifier& model);

// The loss at the model's weights on a batch that is the same for all workers and rounds. Borrows the model.
std::function<double()> MakeProbe(ImageClassifier& model, const ImageSet& set, const ValidationSplit& split);

}  // namespace swarmsync
