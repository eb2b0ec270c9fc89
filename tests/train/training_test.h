#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "data/idx_fixture.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/file.h"
#include "swarmsync/comm/thread_world.h"
#include "swarmsync/params/safetensors.h"
#include "swarmsync/train/run_worker.h"

namespace swarmsync::testing {

using Json = nlohmann::json;

// Whole trainings of thread worlds on tiny data.
class TrainingTest : public ::testing::Test {
 protected:
  struct Run {
    Json summary;
    std::vector<Json> metrics;
    Json workers;
    std::string model_bytes;
    WeightsFile model;
    std::vector<Status> statuses;
    double seconds = 0;
  };

  // A short training that every test changes a little.
  TrainConfig Config() const {
    TrainConfig config;
    config.dataset = "idx:" + data().string();
    config.model = "mlp";
    config.sync = "average";
    config.period = 3;
    config.epochs = 2;
    config.batch_size = 10;
    config.lr = 0.05;
    config.workers = 2;
    config.threads_per_worker = 1;
    config.log_every = 4;
    config.timeout = 30;
    config.seed = 7;
    return config;
  }

  // A new directory for a run.
  std::string NewOut() {
    const std::filesystem::path out = directory_.path() / ("run" + std::to_string(++runs_));
    std::filesystem::create_directory(out);
    return out.string();
  }

  // Trains with config.workers threads in a new directory. Throws what the first one that failed threw.
  Run Train(TrainConfig config) {
    config.out = NewOut();
    return TrainIn(config);
  }

  // The same in config.out.
  Run TrainIn(const TrainConfig& config) {
    Validate(config);
    Run run;
    const double began = MonotonicSeconds();
    ThreadWorld world(static_cast<int>(config.workers), std::chrono::duration<double>(config.timeout));
    world.Run([&](int rank) {
      const auto comm = world.Connect(rank);
      const auto tell = [&](const Status& status) { run.statuses.push_back(status); };
      RunWorker(config, {*comm, models_, began, tell, check_stop_});
    });
    run.seconds = MonotonicSeconds() - began;

    const std::filesystem::path out = config.out;
    run.summary = Json::parse(ReadFile(out / "summary.json"));
    run.workers = Json::parse(ReadFile(out / "workers.json"));
    std::istringstream lines(ReadFile(out / "metrics.jsonl"));
    for (std::string line; std::getline(lines, line);) run.metrics.push_back(Json::parse(line));
    run.model_bytes = ReadFile(out / "model.safetensors");
    run.model = LoadSafetensors(out / "model.safetensors");
    return run;
  }

  static std::vector<Json> Events(const Run& run, const std::string& event) {
    std::vector<Json> found;
    for (const Json& record : run.metrics) {
      if (record.at("event") == event) found.push_back(record);
    }
    return found;
  }

  static void ExpectAllClose(const Run& a, const Run& b, double tolerance) {
    ASSERT_EQ(a.model.tensors.size(), b.model.tensors.size());
    for (std::size_t i = 0; i < a.model.tensors.size(); ++i) {
      EXPECT_TRUE(a.model.tensors[i].second.allclose(b.model.tensors[i].second, tolerance, tolerance))
          << a.model.tensors[i].first;
    }
  }

  // 200 training and 50 test images, written once.
  static const std::filesystem::path& data() {
    static const PrivateDirectory directory;
    static const bool written = [] {
      IdxFixtureOptions options;
      options.train = 200;
      options.test = 50;
      WriteIdxDataset(directory.path(), options);
      return true;
    }();
    (void)written;
    return directory.path();
  }

  ModelRegistry models_ = ModelRegistry::WithBuiltIn();
  std::function<void()> check_stop_;

 private:
  PrivateDirectory directory_;
  int runs_ = 0;
};

}  // namespace swarmsync::testing
