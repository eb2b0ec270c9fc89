// Trainings that end somewhere in the middle and go on from their checkpoints.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <atomic>
#include <fstream>
#include <set>

#include "support/errors.h"
#include "support/test_name.h"
#include "swarmsync/base/error.h"
#include "swarmsync/checkpoint/checkpoint_directory.h"
#include "swarmsync/sync/synchronizer.h"
#include "train/training_test.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Json;
using testing::MessageOf;
namespace fs = std::filesystem;

class ResumeTest : public testing::TrainingTest {
 protected:
  // 10 steps an epoch, of two workers.
  TrainConfig Checkpointed() const {
    TrainConfig config = Config();
    config.momentum = 0.5;
    config.checkpoint_every = 1;
    config.epochs = 3;
    return config;
  }

  // Trains until one of the workers is about to make its step number `step`, from 0, as if it were killed
  // then.
  void TrainUpTo(std::int64_t step, const TrainConfig& config) {
    std::atomic<std::int64_t> begun = 0;
    check_stop_ = [&] {
      if (begun++ == step * config.workers) throw Interrupted(9);
    };
    EXPECT_THROW(TrainIn(config), std::exception);
    check_stop_ = nullptr;
  }

  Run Resume(TrainConfig config) {
    config.resume = config.out;
    return TrainIn(config);
  }

  // Records without times, and without those that are about going on.
  static std::vector<Json> Lasting(const Run& run) {
    std::vector<Json> records;
    for (Json record : run.metrics) {
      record.erase("seconds");
      if (record.at("event") != "resume") records.push_back(record);
    }
    return records;
  }

  static std::string NoteOf(const Run& run, const std::string& event = "resume") {
    const std::vector<Json> notes = Events(run, event);
    return notes.size() == 1 ? notes[0].at("note").get<std::string>() : "";
  }

  static std::vector<std::int64_t> RoundsIn(const TrainConfig& config) {
    std::vector<std::int64_t> rounds;
    for (const auto& checkpoint : CheckpointDirectory(fs::path(config.out) / "checkpoint").Complete())
      rounds.push_back(checkpoint.round);
    return rounds;
  }

  void ExpectGoesOnToTheBit(TrainConfig config, const std::set<std::int64_t>& stops) {
    const Run whole = Train(config);
    for (const std::int64_t stop : stops) {
      SCOPED_TRACE(config.sync + ", stopped at step " + std::to_string(stop));
      config.out = NewOut();
      TrainUpTo(stop, config);
      const Run resumed = Resume(config);
      EXPECT_EQ(resumed.model_bytes, whole.model_bytes);
      EXPECT_EQ(Lasting(resumed), Lasting(whole));
      for (const char* field :
           {"steps", "rounds", "test_accuracy", "train_loss", "bytes_sent_per_worker", "epochs"})
        EXPECT_EQ(resumed.summary.at(field), whole.summary.at(field)) << field;
    }
  }
};

class ResumeEverySyncTest : public ResumeTest, public ::testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(Names, ResumeEverySyncTest, ::testing::ValuesIn(SynchronizerNames()),
                         [](const auto& info) { return testing::TestName(info.param); });

TEST_P(ResumeEverySyncTest, GivesTheSameModelAndRecordsToTheByte) {
  TrainConfig config = Checkpointed();
  config.sync = GetParam();
  ExpectGoesOnToTheBit(config, {0, 2, 4, 11, 21, 29});
}

TEST_P(ResumeEverySyncTest, WithOptionsThatRememberMore) {
  TrainConfig config = Checkpointed();
  config.sync = GetParam();
  config.checkpoint_every = 2;
  config.optimizer = OptimizerKind::kAdamW;
  config.momentum = 0;
  config.lr = 0.01;
  config.wire = Wire::kInt8;
  config.final_average = 4;
  config.swarm.memory = Memory::kDecay;
  config.swarm.cognitive = 0.3;
  config.swarm.random = RandomScope::kElement;
  config.workers = 4;  // a power of two, so that means of bytes are exact
  config.sync_warmup_steps = 4;
  config.schedule = ParseSchedule("cosine");
  config.augment = Augmentation::kStandard;
  config.validation = 20;
  ExpectGoesOnToTheBit(config, {5, 9});
}

TEST_F(ResumeTest, WithExchangesBesideTheTraining) {
  for (const std::int64_t overlap : {2, 3}) {  // of a period of 3: one is always under way
    TrainConfig config = Checkpointed();
    config.sync = "pso-ps";
    config.overlap = overlap;
    config.momentum_at_sync = MomentumAtSync::kMove;
    ExpectGoesOnToTheBit(config, {7, 14, 25});
  }
}

TEST_F(ResumeTest, WithRoundsThatFollowTheLearningRateAndTheMomentumOfTheMove) {
  TrainConfig config = Checkpointed();
  config.sync = "informed-pso-ps";
  config.schedule = ParseSchedule("cosine");
  config.period_by_lr = 1;
  config.momentum_at_sync = MomentumAtSync::kMove;
  ExpectGoesOnToTheBit(config, {1, 8, 15, 28});
}

TEST_F(ResumeTest, WithGroups) {
  TrainConfig config = Checkpointed();
  config.sync = "informed-pso-ps";
  config.workers = 4;
  config.group_size = 2;
  config.group_period = 2;
  config.period = 4;
  ExpectGoesOnToTheBit(config, {6, 11});
}

// Residual networks have counters among their buffers.
TEST_F(ResumeTest, WithBatchNorm) {
  TrainConfig config = Checkpointed();
  config.model = "resnet8";
  config.epochs = 0;
  config.steps = 9;
  config.recalibrate = 2;
  ExpectGoesOnToTheBit(config, {7});
}

TEST_F(ResumeTest, TheLastTwoAreKept) {
  TrainConfig config = Checkpointed();
  config.out = NewOut();
  TrainIn(config);
  EXPECT_THAT(RoundsIn(config), ElementsAre(9, 8)) << "at the end of the training none is written";
}

TEST_F(ResumeTest, ADamagedCheckpointIsReportedAndTheOneBeforeIsUsed) {
  TrainConfig config = Checkpointed();
  const Run whole = Train(config);
  config.out = NewOut();
  TrainUpTo(25, config);
  const std::vector<std::int64_t> rounds = RoundsIn(config);
  ASSERT_GE(rounds.size(), 2u);
  fs::resize_file(
      CheckpointDirectory(fs::path(config.out) / "checkpoint").PathOf(rounds[0]) / "rank-1-of-2.safetensors",
      1000);
  const Run resumed = Resume(config);
  EXPECT_EQ(resumed.model_bytes, whole.model_bytes);
  EXPECT_THAT(NoteOf(resumed), HasSubstr("step " + std::to_string(3 * rounds[1])));
  EXPECT_THAT(NoteOf(resumed, "checkpoint_damaged"), AllOf(HasSubstr("round " + std::to_string(rounds[0])),
                                                           HasSubstr("worker 1"), HasSubstr("is damaged")));
}

TEST_F(ResumeTest, WhenAllAreDamagedItSaysSo) {
  TrainConfig config = Checkpointed();
  config.out = NewOut();
  TrainUpTo(25, config);
  for (const std::int64_t round : RoundsIn(config)) {
    const fs::path part =
        CheckpointDirectory(fs::path(config.out) / "checkpoint").PathOf(round) / "rank-0-of-2.safetensors";
    std::ofstream(part) << "something else";
  }
  const std::vector<std::int64_t> before = RoundsIn(config);
  EXPECT_THAT(MessageOf<DataError>([&] { Resume(config); }),
              AllOf(HasSubstr("is damaged"), HasSubstr("train anew")));
  EXPECT_EQ(RoundsIn(config), before) << "nothing is removed";
}

TEST_F(ResumeTest, WithoutACheckpointItBeginsAnew) {
  TrainConfig config = Checkpointed();
  config.checkpoint_every = 100;
  const Run whole = Train(config);
  config.out = NewOut();
  TrainUpTo(25, config);
  const Run resumed = Resume(config);
  EXPECT_EQ(resumed.model_bytes, whole.model_bytes);
  EXPECT_THAT(NoteOf(resumed), HasSubstr("no checkpoint"));
  EXPECT_EQ(Lasting(resumed), Lasting(whole));
}

TEST_F(ResumeTest, InAnotherDirectoryTheFirstStaysAsItIs) {
  TrainConfig config = Checkpointed();
  const Run whole = Train(config);
  config.out = NewOut();
  TrainUpTo(15, config);
  const std::vector<std::int64_t> before = RoundsIn(config);
  TrainConfig other = config;
  other.resume = config.out;
  other.out = NewOut();
  fs::copy_file(fs::path(config.out) / "metrics.jsonl", fs::path(other.out) / "metrics.jsonl");
  const Run resumed = TrainIn(other);
  EXPECT_EQ(resumed.model_bytes, whole.model_bytes);
  EXPECT_EQ(Lasting(resumed), Lasting(whole));
  EXPECT_EQ(RoundsIn(config), before);
}

TEST_F(ResumeTest, ALongerTrainingGoesOnFromAFinishedOne) {
  TrainConfig config = Checkpointed();
  config.out = NewOut();
  TrainIn(config);
  config.epochs = 5;
  const Run longer = Resume(config);
  EXPECT_EQ(longer.model_bytes, Train(config).model_bytes) << "as if it had been so long from the beginning";
}

TEST_F(ResumeTest, ATrainingThatWouldBeOverIsRefused) {
  TrainConfig config = Checkpointed();
  config.out = NewOut();
  TrainUpTo(25, config);
  config.epochs = 2;
  EXPECT_THAT(MessageOf<UsageError>([&] { Resume(config); }),
              AllOf(HasSubstr("step 24"), HasSubstr("step 20")));
}

TEST_F(ResumeTest, AnotherNumberOfWorkersGoesOnAndSaysWhatChanged) {
  for (const std::string& sync : SynchronizerNames()) {
    for (const std::int64_t workers : {1, 4}) {
      SCOPED_TRACE(sync + " with " + std::to_string(workers));
      TrainConfig config = Checkpointed();
      config.sync = sync;
      config.out = NewOut();
      TrainUpTo(15, config);
      const std::int64_t step = RoundsIn(config).at(0) * (config.sync == "ssgd" ? 1 : 3);
      config.workers = workers;
      const Run resumed = Resume(config);
      const std::int64_t steps_per_epoch = 20 / workers;
      EXPECT_EQ(resumed.summary.at("steps"), 3 * steps_per_epoch);
      EXPECT_EQ(resumed.summary.at("workers"), workers);
      EXPECT_THAT(NoteOf(resumed),
                  AllOf(HasSubstr(std::to_string(workers) + " workers instead of 2"),
                        HasSubstr("as step " + std::to_string(step * steps_per_epoch / 10))));
      EXPECT_EQ(Events(resumed, "epoch").size(), 3u);
    }
  }
}

// A length in steps stays one.
TEST_F(ResumeTest, AnotherNumberOfWorkersMakesTheStepsThatAreLeft) {
  TrainConfig config = Checkpointed();
  config.epochs = 0;
  config.steps = 20;
  config.out = NewOut();
  TrainUpTo(15, config);
  const std::int64_t step = RoundsIn(config).at(0) * (config.sync == "ssgd" ? 1 : 3);
  config.workers = 4;
  const Run resumed = Resume(config);
  EXPECT_EQ(resumed.summary.at("steps"), 20);
  EXPECT_THAT(NoteOf(resumed), HasSubstr("as step " + std::to_string(step)));
}

TEST_F(ResumeTest, ACheckpointThatCannotBeWrittenIsToldAndTrainingGoesOn) {
  TrainConfig config = Checkpointed();
  const Run whole = Train(config);
  config.out = NewOut();
  std::ofstream(fs::path(config.out) / "checkpoint") << "a file where the directory should be";
  const Run run = TrainIn(config);
  EXPECT_EQ(run.model_bytes, whole.model_bytes);
  const std::vector<Json> failures = Events(run, "checkpoint_failed");
  ASSERT_EQ(failures.size(), 9u);
  EXPECT_EQ(failures[0].at("step"), 3);
  EXPECT_THAT(failures[0].at("reason").get<std::string>(), HasSubstr("worker 0: cannot create"));
}

TEST_F(ResumeTest, OfOtherDataIsRefused) {
  TrainConfig config = Checkpointed();
  config.out = NewOut();
  TrainUpTo(15, config);
  config.validation = 100;
  EXPECT_THAT(MessageOf<DataError>([&] { Resume(config); }),
              AllOf(HasSubstr("10 steps"), HasSubstr("now it is 5")));
}

TEST_F(ResumeTest, OfAnotherModelIsRefused) {
  TrainConfig config = Checkpointed();
  config.out = NewOut();
  TrainUpTo(15, config);
  config.model = "lenet5";
  EXPECT_THAT(MessageOf<DataError>([&] { Resume(config); }),
              AllOf(HasSubstr("'sync.weights'"), HasSubstr("round-")));
}

TEST_F(ResumeTest, SecondsAreThoseOfAllRunsTogether) {
  TrainConfig config = Checkpointed();
  config.out = NewOut();
  TrainUpTo(25, config);
  const Run resumed = Resume(config);
  double sum = 0;
  for (const char* account : {"setup", "data", "compute", "sync", "wait", "evaluate", "checkpoint"})
    sum += resumed.summary.at(std::string(account) + "_seconds").get<double>();
  const double wall = resumed.summary.at("wall_seconds");
  EXPECT_NEAR(sum, wall, 0.05 * wall + 0.02);
  EXPECT_GT(wall, resumed.seconds);
}

}  // namespace
}  // namespace swarmsync
