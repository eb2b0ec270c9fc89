// Whole trainings of thread worlds on tiny data.

#include "swarmsync/train/run_worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "data/idx_fixture.h"
#include "support/errors.h"
#include "support/sanitizers.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/comm/thread_world.h"
#include "swarmsync/params/safetensors.h"
#include "swarmsync/train/evaluate.h"
#include "swarmsync/train/model_file.h"
#include "train/training_test.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;
using testing::MessageOf;

// One network of one layer that remembers the images that it was shown.
struct Shown {
  std::mutex mutex;
  std::multiset<std::vector<float>> training, evaluation;  // image by image
};
class RememberingModel : public ImageClassifier {
 public:
  RememberingModel(const ModelInput& input, std::shared_ptr<Shown> shown)
      : fc_(register_module("fc",
                            torch::nn::Linear(input.channels * input.height * input.width, input.classes))),
        shown_(std::move(shown)) {}

  at::Tensor forward(const at::Tensor& images) override {
    const at::Tensor flat = images.flatten(1);
    const std::lock_guard lock(shown_->mutex);
    auto& remembered = is_training() ? shown_->training : shown_->evaluation;
    for (std::int64_t i = 0; i < flat.size(0); ++i) {
      const float* pixels = flat[i].data_ptr<float>();
      remembered.emplace(pixels, pixels + flat.size(1));
    }
    return fc_(flat);
  }

 private:
  torch::nn::Linear fc_;
  std::shared_ptr<Shown> shown_;
};

class RunWorkerTest : public testing::TrainingTest {
 protected:
  void ExpectSummaryIsOfTheSavedModel(const Run& run) const;
};

TEST_F(RunWorkerTest, TheSummaryHasEveryFieldOfTheContract) {
  TrainConfig config = Config();
  config.workers = 3;
  config.seed = 18'446'744'073'709'551'615U;
  const Json s = Train(config).summary;
  EXPECT_EQ(s.at("sync"), "average");
  EXPECT_EQ(s.at("period"), 3);
  EXPECT_EQ(s.at("workers"), 3);
  EXPECT_EQ(s.at("seed"), config.seed);
  EXPECT_EQ(s.at("epochs"), 2);
  EXPECT_EQ(s.at("steps"), 12) << "200 / (3 · 10) is 6 a epoch";
  EXPECT_EQ(s.at("rounds"), 4);
  EXPECT_EQ(s.at("final_model"), "mean of the workers");
  EXPECT_EQ(s.at("membership_events"), Json::array());
  EXPECT_GE(s.at("test_accuracy"), 0);
  EXPECT_LE(s.at("test_accuracy"), 1);
  for (const char* key :
       {"test_loss", "train_loss", "bytes_sent_per_worker", "setup_seconds", "compute_seconds",
        "evaluate_seconds", "checkpoint_seconds", "wall_seconds", "samples_per_second"}) {
    EXPECT_GT(s.at(key), 0) << key;
  }
  for (const char* key : {"data_seconds", "sync_seconds", "wait_seconds"}) EXPECT_GE(s.at(key), 0) << key;
  for (const char* key : {"swarmsync", "libtorch"}) {
    EXPECT_THAT(s.at("versions").at(key).get<std::string>(), HasSubstr(".")) << key;
  }
  EXPECT_FALSE(s.contains("validation_accuracy")) << "nothing was held out";
}

TEST_F(RunWorkerTest, RoundsRunAcrossEpochsAndALastPartialOneCounts) {
  TrainConfig config = Config();  // 10 steps an epoch
  config.period = 4;
  config.epochs = 0;
  config.steps = 23;
  const Run run = Train(config);
  EXPECT_EQ(run.summary.at("steps"), 23);
  EXPECT_EQ(run.summary.at("rounds"), 6) << "5 of 4 steps and one of 3";
  EXPECT_EQ(run.summary.at("epochs"), 2.3);
}

TEST_F(RunWorkerTest, SsgdReportsPeriodOne) {
  TrainConfig config = Config();
  config.sync = "ssgd";
  const Json s = Train(config).summary;
  EXPECT_EQ(s.at("period"), 1);
  EXPECT_EQ(s.at("rounds"), s.at("steps"));
  EXPECT_EQ(s.at("final_model"), "replica");
}

TEST_F(RunWorkerTest, TheSecondsAddUpToTheWall) {
  TrainConfig config = Config();
  config.model = "lenet5";
  config.batch_size = 50;
  config.period = 4;
  config.epochs = 0;
  config.steps = testing::kSanitized ? 8 : 240;
  for (const char* sync : {"average", "pso-ps", "ssgd"}) {
    config.sync = sync;
    const Run run = Train(config);
    double sum = 0;
    for (const char* part : {"setup", "data", "compute", "sync", "wait", "evaluate", "checkpoint"}) {
      const double seconds = run.summary.at(std::string(part) + "_seconds");
      EXPECT_GE(seconds, 0) << part;
      sum += seconds;
    }
    const double wall = run.summary.at("wall_seconds");
    EXPECT_GT(wall, 0.5) << "long enough to mean something";
    EXPECT_NEAR(sum, wall, 0.05 * wall) << sync << ": " << run.summary.dump();
    EXPECT_LE(wall, run.seconds);
    EXPECT_GT(wall, 0.9 * run.seconds);
  }
}

TEST_F(RunWorkerTest, BytesAreThoseOfTheAlgorithm) {
  const double weights = 4.0 * 199'210;
  TrainConfig config = Config();
  config.workers = 3;
  config.epochs = 0;
  config.steps = 30;
  config.sync = "ssgd";  // one all-reduce a step, 2 (N-1)/N of it from each worker
  EXPECT_NEAR(Train(config).summary.at("bytes_sent_per_worker").get<double>(), 30 * weights * 4 / 3,
              0.001 * 30 * weights * 4 / 3);
  config.sync =
      "pso-ps";  // at most one broadcast a round, and an all-reduce for the final model of each epoch
  config.period = 1;
  const Json s = Train(config).summary;
  EXPECT_EQ(s.at("rounds"), 30);
  EXPECT_LE(s.at("bytes_sent_per_worker").get<double>(),
            1.001 * (30 * weights * 2 / 3 + s.at("epochs").get<double>() * weights * 4 / 3) + 30 * 3 * 8);
}

TEST_F(RunWorkerTest, WorkersJsonNamesTheWorkers) {
  TrainConfig config = Config();
  config.workers = 3;
  const Json workers = Train(config).workers;
  ASSERT_EQ(workers.size(), 3u);
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(workers[static_cast<std::size_t>(rank)].at("rank"), rank);
    EXPECT_EQ(workers[static_cast<std::size_t>(rank)].at("pid"), getpid());
    EXPECT_EQ(workers[static_cast<std::size_t>(rank)].at("device"), "cpu");
    EXPECT_NE(workers[static_cast<std::size_t>(rank)].at("host"), "");
  }
}

TEST_F(RunWorkerTest, MetricsHoldLossesExchangesAndEpochs) {
  TrainConfig config = Config();
  config.sync = "pso-ps";
  const Run run = Train(config);  // 20 steps
  const std::vector<Json> losses = Events(run, "loss"), exchanges = Events(run, "exchange"),
                          epochs = Events(run, "epoch");
  ASSERT_EQ(losses.size(), 5u);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    EXPECT_EQ(losses[i].at("step"), 4 * (i + 1));
    EXPECT_GT(losses[i].at("loss"), 0);
  }
  EXPECT_LT(losses[4].at("loss"), losses[0].at("loss")) << "it learns";
  ASSERT_EQ(exchanges.size(), 7u);
  for (std::size_t i = 0; i < exchanges.size(); ++i) {
    EXPECT_EQ(exchanges[i].at("round"), i + 1);
    EXPECT_EQ(exchanges[i].at("step"), std::min<std::size_t>(3 * (i + 1), 20));
    const std::vector<double> fitness = exchanges[i].at("fitness");
    ASSERT_EQ(fitness.size(), 2u);
    EXPECT_EQ(exchanges[i].at("best"), fitness[0] <= fitness[1] ? 0 : 1);
  }
  ASSERT_EQ(epochs.size(), 2u);
  for (std::size_t i = 0; i < epochs.size(); ++i) {
    EXPECT_EQ(epochs[i].at("epoch"), i + 1);
    EXPECT_EQ(epochs[i].at("test").at("samples"), 50);
  }
  EXPECT_EQ(epochs[1].at("test").at("accuracy"), run.summary.at("test_accuracy"));
  EXPECT_EQ(epochs[1].at("test").at("loss"), run.summary.at("test_loss"));
  EXPECT_EQ(epochs[1].at("train_loss"), run.summary.at("train_loss"));
}

TEST_F(RunWorkerTest, RankZeroTellsItsProgress) {
  const Run run = Train(Config());
  ASSERT_FALSE(run.statuses.empty());
  std::int64_t step = 0, notes = 0;
  for (const Status& status : run.statuses) {
    if (const auto* progress = std::get_if<Progress>(&status)) {
      EXPECT_GT(progress->step, step);
      step = progress->step;
      EXPECT_EQ(progress->total_steps, 20);
      EXPECT_DOUBLE_EQ(progress->epoch, static_cast<double>(step) / 10);
      EXPECT_EQ(progress->epochs, 2);
      EXPECT_GT(progress->samples_per_second, 0);
      EXPECT_GE(progress->exchange_share, 0);
      EXPECT_LE(progress->exchange_share, 1);
      EXPECT_GE(progress->seconds_left, 0);
    }
    notes += std::holds_alternative<StatusNote>(status) ? 1 : 0;
  }
  EXPECT_EQ(step, 20) << "the last step is always told";
  EXPECT_EQ(notes, 2) << "one an epoch";
}

TEST_F(RunWorkerTest, TheTrainLossIsTheMeanOfTheLastEpochOverAllWorkers) {
  TrainConfig config = Config();
  config.workers = 1;
  config.log_every = 1;
  const Run run = Train(config);  // 20 steps an epoch
  double mean = 0;
  for (const Json& record : Events(run, "loss")) {
    if (record.at("step") > 20) mean += record.at("loss").get<double>() / 20;
  }
  EXPECT_NEAR(run.summary.at("train_loss"), mean, 1e-9);
}

TEST_F(RunWorkerTest, TheSameSeedGivesTheSameModelAndAnotherSeedAnother) {
  for (const char* sync : {"average", "pso-ps", "ssgd"}) {
    TrainConfig config = Config();
    config.sync = sync;
    config.swarm.random = RandomScope::kElement;
    config.swarm.memory = Memory::kHistoric;
    config.swarm.cognitive = 0.1;
    config.workers = 3;
    const std::string bytes = Train(config).model_bytes;
    EXPECT_TRUE(Train(config).model_bytes == bytes) << sync;
    config.seed = 8;
    EXPECT_FALSE(Train(config).model_bytes == bytes) << sync;
  }
}

TEST_F(RunWorkerTest, TheInitialWeightsDependOnTheSeedAlone) {
  TrainConfig config = Config();
  config.lr = 0;  // what comes out is what went in
  config.workers = 1;
  config.sync = "ssgd";
  const Run alone = Train(config);
  for (const char* sync : {"average", "pso-ps", "ssgd"}) {
    config.sync = sync;
    config.workers = 4;
    ExpectAllClose(Train(config), alone, 1e-7);
  }
  config.seed = 8;
  EXPECT_FALSE(Train(config).model.tensors[0].second.allclose(alone.model.tensors[0].second));
}

TEST_F(RunWorkerTest, SsgdOnTwoEqualsOneWithTwiceTheBatch) {
  TrainConfig config = Config();
  config.sync = "ssgd";
  config.workers = 2;
  config.batch_size = 8;
  const Run two = Train(config);
  config.workers = 1;
  config.batch_size = 16;
  const Run one = Train(config);
  EXPECT_EQ(one.summary.at("steps"), two.summary.at("steps"));
  ExpectAllClose(one, two, 1e-4);
  EXPECT_NEAR(one.summary.at("train_loss"), two.summary.at("train_loss"), 1e-4);
  EXPECT_NEAR(one.summary.at("test_loss"), two.summary.at("test_loss"), 1e-4);
}

TEST_F(RunWorkerTest, AveragingEveryStepEqualsSsgd) {
  TrainConfig config = Config();
  config.sync = "ssgd";
  const Run ssgd = Train(config);
  config.sync = "average";
  config.period = 1;
  ExpectAllClose(Train(config), ssgd, 1e-4);
}

// The parts' gradients add up to that of the whole.
TEST_F(RunWorkerTest, AccumulatingChangesNothing) {
  TrainConfig config = Config();
  const Run whole = Train(config);
  for (const std::int64_t parts : {3, 10}) {
    config.accumulate = parts;
    const Run in_parts = Train(config);
    ExpectAllClose(in_parts, whole, 1e-5);
    EXPECT_NEAR(in_parts.summary.at("train_loss"), whole.summary.at("train_loss"), 1e-5);
  }
}

// Buckets as small as can be, so that there are several.
TEST_F(RunWorkerTest, SendingGradientsEarlyChangesNoBit) {
  TrainConfig config = Config();
  config.sync = "ssgd";
  config.workers = 2;
  for (const std::int64_t parts : {1, 3}) {
    config.accumulate = parts;
    config.bucket_mb = 1000;
    const Run at_once = Train(config);
    config.bucket_mb = 1e-6;
    const Run early = Train(config);
    EXPECT_TRUE(early.model_bytes == at_once.model_bytes) << parts;
    EXPECT_EQ(early.summary.at("bytes_sent_per_worker"), at_once.summary.at("bytes_sent_per_worker"));
  }
}

TEST_F(RunWorkerTest, ReadingAheadChangesNothing) {
  TrainConfig config = Config();
  config.augment = Augmentation::kStandard;
  config.loader_threads = 0;
  const std::string bytes = Train(config).model_bytes;
  for (const std::int64_t threads : {1, 3}) {
    config.loader_threads = threads;
    EXPECT_TRUE(Train(config).model_bytes == bytes) << threads;
  }
  config.augment = Augmentation::kNone;
  EXPECT_FALSE(Train(config).model_bytes == bytes);
}

TEST_F(RunWorkerTest, AugmentsTrainingImagesOnly) {
  const auto shown = std::make_shared<Shown>();
  models_.Register("remembering",
                   [&](const ModelInput& input) { return std::make_shared<RememberingModel>(input, shown); });
  TrainConfig config = Config();
  config.model = "remembering";
  config.augment = Augmentation::kStandard;
  Train(config);
  const auto trained = std::exchange(shown->training, {}), evaluated = std::exchange(shown->evaluation, {});
  EXPECT_GT(std::set(trained.begin(), trained.end()).size(), 390u) << "400 images, other ones in each epoch";
  config.augment = Augmentation::kNone;
  Train(config);
  EXPECT_EQ(std::set(shown->training.begin(), shown->training.end()).size(), 200u);
  EXPECT_EQ(evaluated, shown->evaluation);
}

TEST_F(RunWorkerTest, TheLearningRateFollowsTheSchedule) {
  TrainConfig config = Config();  // 2 epochs of 10 steps
  config.log_every = 1;
  config.schedule = ParseSchedule("step:0.5,1@0.5");
  config.lr_warmup = 0.2;
  std::vector<double> rates;
  for (const Json& loss : Events(Train(config), "loss"))
    rates.push_back(loss.at("lr").get<double>() / config.lr);
  ASSERT_EQ(rates.size(), 20u);
  EXPECT_DOUBLE_EQ(rates[0], 0.5);
  for (std::size_t step = 1; step < 20; ++step) {
    EXPECT_DOUBLE_EQ(rates[step], step < 5 ? 1 : step < 10 ? 0.5 : 0.25) << step;
  }
}

TEST_F(RunWorkerTest, WeightDecaySparesBiasesUnlessAsked) {
  TrainConfig config = Config();
  config.steps = 1;
  config.epochs = 0;
  config.period = 1;
  const Run plain = Train(config);
  config.weight_decay = 0.5;
  const Run spared = Train(config);
  config.decay_all = true;
  const Run all = Train(config);
  config.lr = 0;
  const Run initial = Train(config);
  for (std::size_t i = 0; i < plain.model.tensors.size(); ++i) {
    const at::Tensor decay = initial.model.tensors[i].second * (0.05 * 0.5);
    const at::Tensor decayed = plain.model.tensors[i].second - decay;
    const bool is_bias = decay.dim() == 1;
    EXPECT_TRUE(spared.model.tensors[i].second.allclose(is_bias ? plain.model.tensors[i].second : decayed,
                                                        1e-5, 1e-7));
    EXPECT_TRUE(all.model.tensors[i].second.allclose(decayed, 1e-5, 1e-7));
  }
}

// A frozen layer in front of one that trains.
class HalfFrozen : public ImageClassifier {
 public:
  explicit HalfFrozen(const ModelInput& input)
      : frozen_(register_module("frozen", torch::nn::Linear(input.channels * input.height * input.width, 8))),
        head_(register_module("head", torch::nn::Linear(8, input.classes))) {
    for (at::Tensor& parameter : frozen_->parameters()) parameter.set_requires_grad(false);
  }
  at::Tensor forward(const at::Tensor& images) override {
    return head_(at::relu(frozen_(images.flatten(1))));
  }

 private:
  torch::nn::Linear frozen_, head_;
};

TEST_F(RunWorkerTest, FrozenParametersDoNotDecay) {
  models_.Register("half-frozen",
                   [](const ModelInput& input) { return std::make_shared<HalfFrozen>(input); });
  TrainConfig config = Config();
  config.model = "half-frozen";
  config.weight_decay = 0.1;
  for (const bool decay_all : {false, true}) {
    config.decay_all = decay_all;
    config.lr = 0.05;
    const Run trained = Train(config);
    config.lr = 0;
    const Run initial = Train(config);
    for (std::size_t i = 0; i < 4; ++i) {
      const bool is_frozen = trained.model.tensors[i].first.rfind("frozen", 0) == 0;
      EXPECT_EQ(trained.model.tensors[i].second.allclose(initial.model.tensors[i].second, 1e-6, 1e-7),
                is_frozen)
          << trained.model.tensors[i].first;
    }
  }
}

// One that trains beside one that no image passes through, or only the first half of a mini-batch does.
class PartlyIdle : public ImageClassifier {
 public:
  explicit PartlyIdle(const ModelInput& input)
      : head_(register_module("head",
                              torch::nn::Linear(input.channels * input.height * input.width, input.classes))),
        idle_(register_parameter("idle", torch::ones({3, 2}))),
        half_idle_(register_parameter("half_idle", torch::zeros({2, 1}))) {}

  at::Tensor forward(const at::Tensor& images) override {
    at::Tensor logits = head_(images.flatten(1));
    if (is_training() && ++passes_ % 2 == 1) logits = logits + half_idle_.sum() * logits.detach();
    return logits;
  }

 private:
  torch::nn::Linear head_;
  at::Tensor idle_, half_idle_;
  int passes_ = 0;
};

TEST_F(RunWorkerTest, WhatNoImagePassesThroughOnlyDecays) {
  models_.Register("partly-idle",
                   [](const ModelInput& input) { return std::make_shared<PartlyIdle>(input); });
  TrainConfig config = Config();
  config.model = "partly-idle";
  config.momentum = 0.9;
  config.weight_decay = 0.1;
  double weight = 1, momentum = 0;
  for (int step = 0; step < 20; ++step) {
    momentum = 0.9 * momentum + config.weight_decay * weight;
    weight -= config.lr * momentum;
  }
  for (const std::int64_t parts : {1, 2}) {
    config.accumulate = parts;
    const Run run = Train(config);
    ASSERT_EQ(run.summary.at("steps"), 20);
    std::map<std::string, at::Tensor> trained(run.model.tensors.begin(), run.model.tensors.end());
    EXPECT_TRUE(trained.at("idle").allclose(at::full({3, 2}, weight), 1e-5, 1e-6)) << parts;
    EXPECT_GT(trained.at("half_idle").abs().min().item<double>(), 1e-6) << parts;
  }
}

TEST_F(RunWorkerTest, EveryPartOfARecipeTrains) {
  TrainConfig config = Config();
  config.epochs = 4;
  config.momentum = 0.9;
  config.nesterov = true;
  config.weight_decay = 5e-4;
  config.schedule = ParseSchedule("cosine");
  config.label_smoothing = 0.1;
  config.clip_grad_norm = 1;
  config.momentum_at_sync = MomentumAtSync::kAverage;
  EXPECT_GT(Train(config).summary.at("test_accuracy"), 0.9);
}

TEST_F(RunWorkerTest, TheSavedModelHasTheStatisticsThatItWasEvaluatedWith) {
  TrainConfig config = Config();
  config.model = "resnet8";
  config.epochs = 1;
  std::vector<std::string> models;
  for (const std::int64_t batches : {0, 4}) {
    config.recalibrate = batches;
    const Run run = Train(config);
    ExpectSummaryIsOfTheSavedModel(run);
    models.push_back(run.model_bytes);
  }
  EXPECT_FALSE(models[0] == models[1]);
  EXPECT_TRUE(Train(config).model_bytes == models[1]) << "recalibration is repeatable";
}

TEST_F(RunWorkerTest, TheSummaryIsOfTheSavedModel) { ExpectSummaryIsOfTheSavedModel(Train(Config())); }

void RunWorkerTest::ExpectSummaryIsOfTheSavedModel(const Run& run) const {
  const PrivateDirectory directory;
  SaveSafetensors(directory.path() / "model", run.model);
  const SavedModel saved = LoadModel(directory.path() / "model", models_);
  const Dataset data = OpenDataset(saved.dataset, "", {saved.normalization, std::nullopt});
  std::vector<std::int64_t> ids;
  for (std::int64_t i = 0; i < data.test->size(); ++i) ids.push_back(i);
  const auto alone = ThreadWorld(1).Connect(0);
  const Evaluation result = Evaluate(*saved.model, *data.test, {ids.data(), data.test->size()}, *alone);
  EXPECT_DOUBLE_EQ(run.summary.at("test_accuracy"), result.accuracy);
  EXPECT_NEAR(run.summary.at("test_loss"), result.loss, 1e-6);
}

TEST_F(RunWorkerTest, OneEpochShowsEverySampleOnce) {
  const auto shown = std::make_shared<Shown>();
  models_.Register("remembering",
                   [&](const ModelInput& input) { return std::make_shared<RememberingModel>(input, shown); });
  TrainConfig config = Config();
  config.model = "remembering";
  config.workers = 3;
  config.batch_size = 11;
  config.epochs = 1;
  EXPECT_EQ(Train(config).summary.at("steps"), 6);
  EXPECT_EQ(shown->training.size(), 6u * 3 * 11) << "200 but the tail of 2";
  EXPECT_EQ(std::set(shown->training.begin(), shown->training.end()).size(), shown->training.size())
      << "none twice";
  EXPECT_EQ(shown->evaluation.size(), 50u) << "every test image once, whichever worker";
  EXPECT_EQ(std::set(shown->evaluation.begin(), shown->evaluation.end()).size(), 50u);
}

TEST_F(RunWorkerTest, ValidationSamplesAreHeldOutAndReported) {
  const auto shown = std::make_shared<Shown>();
  models_.Register("remembering",
                   [&](const ModelInput& input) { return std::make_shared<RememberingModel>(input, shown); });
  TrainConfig config = Config();
  config.model = "remembering";
  config.validation = 40;
  config.epochs = 3;
  const Run run = Train(config);
  EXPECT_EQ(run.summary.at("steps"), 3 * 8) << "160 / (2 · 10) an epoch";
  EXPECT_TRUE(run.summary.at("validation_accuracy").is_number());
  EXPECT_TRUE(run.summary.at("validation_loss").is_number());

  const std::vector<Json> epochs = Events(run, "epoch");
  ASSERT_EQ(epochs.size(), 3u);
  for (const Json& epoch : epochs) EXPECT_EQ(epoch.at("validation").at("samples"), 40);
  EXPECT_FALSE(epochs[0].contains("test")) << "the test set is for the end";
  EXPECT_EQ(epochs[2].at("test").at("samples"), 50);
  EXPECT_EQ(epochs[2].at("validation").at("accuracy"), run.summary.at("validation_accuracy"));

  // Shown to a model in training, or to one that is evaluated: never both.
  const std::set<std::vector<float>> trained(shown->training.begin(), shown->training.end());
  const std::set<std::vector<float>> evaluated(shown->evaluation.begin(), shown->evaluation.end());
  EXPECT_EQ(trained.size(), 160u);
  EXPECT_EQ(evaluated.size(), 40u + 50u);
  for (const std::vector<float>& image : evaluated) EXPECT_EQ(trained.count(image), 0u);
  EXPECT_EQ(shown->evaluation.size(), 3u * 40 + 50);
}

TEST_F(RunWorkerTest, TheProbeIsOneBatchForAllWorkers) {
  TrainConfig config = Config();
  config.sync = "pso-ps";
  config.lr = 0;  // all workers stay at the same weights
  const auto first_fitness = [&] {
    return Events(Train(config), "exchange").at(0).at("fitness").get<std::vector<double>>();
  };
  std::vector<double> fitness = first_fitness();
  EXPECT_NE(fitness[0], fitness[1]) << "their mini-batches differ";
  config.fitness = Fitness::kProbe;
  fitness = first_fitness();
  EXPECT_EQ(fitness[0], fitness[1]) << "the probe does not";
  EXPECT_GT(fitness[0], 0);
}

TEST_F(RunWorkerTest, TrainingWithTheProbeLearns) {
  TrainConfig config = Config();
  config.sync = "pso-ps";
  config.fitness = Fitness::kProbe;
  config.epochs = 5;
  const Run run = Train(config);
  EXPECT_GT(run.summary.at("test_accuracy"), 0.8);
  const std::vector<Json> exchanges = Events(run, "exchange");
  EXPECT_LT(exchanges.back().at("fitness").at(0), exchanges.front().at("fitness").at(0));
}

TEST_F(RunWorkerTest, EveryOptimizerLearns) {
  for (const Json& recipe : std::vector<Json>{{{"optimizer", "adamw"}, {"lr", 0.002}, {"weight_decay", 0.01}},
                                              {{"lr", 0.02}, {"momentum", 0.9}, {"nesterov", true}}}) {
    const TrainConfig base = Config();
    TrainConfig config = FromJsonText([&] {
      Json json = Json::parse(ToJsonText(base));
      json.update(recipe);
      return json.dump();
    }());
    config.epochs = 5;
    EXPECT_GT(Train(config).summary.at("test_accuracy"), 0.8) << recipe.dump();
  }
}

TEST_F(RunWorkerTest, LearnsWithExchangesBesideTheTrainingInFewerBits) {
  for (const char* sync : {"pso-ps", "informed-pso-ps", "average"}) {
    for (const Wire wire : {Wire::kFp32, Wire::kInt8}) {
      TrainConfig config = Config();
      config.sync = sync;
      config.overlap = 2;
      config.wire = wire;
      config.epochs = 5;
      const Run run = Train(config);
      EXPECT_GT(run.summary.at("test_accuracy"), 0.8) << sync << " " << ToString(wire);
      EXPECT_EQ(run.summary.at("rounds"), Events(run, "exchange").size());
      EXPECT_EQ(Train(config).model_bytes, run.model_bytes) << "it depends on who comes first";
    }
  }
}

TEST_F(RunWorkerTest, AnEpochIsEvaluatedWhenTheExchangeUnderWayHasLanded) {
  TrainConfig config = Config();
  config.sync = "average";
  config.epochs = 3;
  const auto evaluated_at = [&](std::int64_t period, std::int64_t overlap) {
    config.period = period;
    config.overlap = overlap;
    std::vector<std::int64_t> steps;
    for (const Json& epoch : Events(Train(config), "epoch")) steps.push_back(epoch.at("step"));
    return steps;
  };
  const std::vector<std::int64_t> ends = evaluated_at(4, 0);
  const std::int64_t epoch = ends[0];
  EXPECT_EQ(ends, (std::vector<std::int64_t>{epoch, 2 * epoch, 3 * epoch}));
  EXPECT_EQ(evaluated_at(epoch, 2), (std::vector<std::int64_t>{epoch + 2, 2 * epoch + 2, 3 * epoch}));
  EXPECT_EQ(evaluated_at(epoch, epoch), ends) << "one is always under way";
  EXPECT_EQ(evaluated_at(2 * epoch, epoch), (std::vector<std::int64_t>{epoch, 2 * epoch, 3 * epoch}))
      << "it lands no sooner than the next epoch ends";
}

TEST_F(RunWorkerTest, AnEmulatedLinkChangesTheTimeAlone) {
  TrainConfig config = Config();
  config.steps = 6;
  config.epochs = 0;
  const Run plain = Train(config);
  config.link = ParseLink("1gbit,50ms");
  const Run linked = Train(config);
  EXPECT_EQ(linked.model_bytes, plain.model_bytes);
  EXPECT_EQ(linked.summary.at("emulated_link"), "1gbit,50ms");
  EXPECT_FALSE(plain.summary.contains("emulated_link"));
  EXPECT_GE(linked.summary.at("sync_seconds"), 2 * 2 * 0.05) << "two exchanges, there and back";
}

TEST_F(RunWorkerTest, DivergenceIsARunError) {
  for (const char* sync : {"average", "pso-ps", "ssgd"}) {
    TrainConfig config = Config();
    config.sync = sync;
    config.lr = 1e6;
    EXPECT_THAT(MessageOf<RunError>([&] { Train(config); }),
                AllOf(HasSubstr("diverged on all workers"), HasSubstr("lower the learning rate"),
                      Not(HasSubstr("\n"))))
        << sync;
  }
}

TEST_F(RunWorkerTest, WhatCheckStopThrowsEndsTheRun) {
  std::atomic<int> calls{0};
  check_stop_ = [&] {
    if (++calls > 10) throw Interrupted(2);
  };
  TrainConfig config = Config();
  config.epochs = 0;
  config.steps = 1'000'000;
  EXPECT_THROW(Train(config), Interrupted);
}

TEST_F(RunWorkerTest, CheckRunRefusesWhatCannotRun) {
  const auto refusal = [&](const std::function<void(TrainConfig&)>& change, int world) {
    TrainConfig config = Config();
    change(config);
    return MessageOf<UsageError>([&] { CheckRun(config, models_, world); });
  };
  CheckRun(Config(), models_, 20);
  EXPECT_THAT(refusal([](auto& c) { c.batch_size = 101; }, 2), AllOf(HasSubstr("101"), HasSubstr("100")));
  EXPECT_THAT(refusal([](auto&) {}, 201), AllOf(HasSubstr("201"), HasSubstr("200")));
  EXPECT_THAT(refusal([](auto&) {}, 21), HasSubstr("batch of 10"));
  EXPECT_THAT(refusal([](auto& c) { c.validation = 200; }, 2), HasSubstr("200"));
  EXPECT_THAT(refusal([](auto& c) { c.validation = 190; }, 2), HasSubstr("batch of 10"));
  EXPECT_THAT(refusal([](auto& c) { c.model = "lenet"; }, 2), HasSubstr("did you mean 'lenet5'?"));
  EXPECT_THAT(refusal([](auto& c) { c.dataset = "mnits"; }, 2), HasSubstr("did you mean 'mnist'?"));
  EXPECT_THAT(refusal([](auto& c) { c.period = 0; }, 2), HasSubstr("--period"));
  TrainConfig config = Config();
  config.dataset = "idx:/no/such/place";
  EXPECT_THAT(MessageOf<DataError>([&] { CheckRun(config, models_, 2); }), HasSubstr("/no/such/place"));
}

}  // namespace
}  // namespace swarmsync
