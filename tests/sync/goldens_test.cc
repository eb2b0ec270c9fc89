// Replays of make_goldens.py, which knows nothing of this code, over several rounds.

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "support/ranks.h"
#include "swarmsync/sync/synchronizer.h"
#include "sync/worker.h"

namespace swarmsync {
namespace {

using nlohmann::json;
using testing::Floats;
using testing::HandDrivenWorker;

std::vector<json> Cases() {
  std::ifstream file(SWARMSYNC_SOURCE_DIR "/tests/sync/goldens.json");
  return json::parse(file).at("cases").get<std::vector<json>>();
}

SyncOptions OptionsOf(const json& golden) {
  const json& options = golden.at("options");
  SyncOptions result;
  result.seed = golden.at("seed").get<std::uint64_t>();
  result.swarm.velocity = ParseEnum<Velocity>(options.at("velocity").get<std::string>());
  result.swarm.inertia = options.at("inertia");
  result.swarm.cognitive = options.at("cognitive");
  result.swarm.social = options.at("social");
  result.swarm.random = ParseEnum<RandomScope>(options.at("random").get<std::string>());
  result.swarm.memory = ParseEnum<Memory>(options.at("memory").get<std::string>());
  result.swarm.memory_decay = options.at("memory_decay");
  return result;
}

double FitnessOf(const json& round, int rank) {
  const std::string kind = round.at("fitness_kind")[rank];
  if (kind == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (kind == "inf") return std::numeric_limits<double>::infinity();
  return round.at("fitness")[rank];
}

void ExpectClose(const Floats& found, const json& expected, const std::string& where) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double value = expected[i];
    EXPECT_LE(std::abs(found[i] - value), 1e-5 * std::max(1.0, std::abs(value)))
        << where << ", weight " << i << ": " << found[i] << " and not " << value;
  }
}

void ExpectRecord(const ExchangeRecord& record, const json& round, int workers) {
  ASSERT_EQ(record.fitness.size(), static_cast<std::size_t>(workers));
  for (int rank = 0; rank < workers; ++rank) {
    const double fitness = FitnessOf(round, rank);
    if (std::isfinite(fitness)) {
      EXPECT_EQ(record.fitness[rank], fitness);
    } else {
      EXPECT_FALSE(std::isfinite(record.fitness[rank]));
    }
  }
  const json& guide = round.at("after").at("guide_rank");
  EXPECT_EQ(record.guide, guide.is_null() ? -1 : guide.get<int>());
  EXPECT_EQ(record.guide_moved, round.at("after").at("guide_updated").get<bool>());
}

class GoldenTest : public ::testing::TestWithParam<json> {};

std::string NameOf(const ::testing::TestParamInfo<json>& info) {
  std::string name = info.param.at("name");
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenTest, ::testing::ValuesIn(Cases()), NameOf);

TEST_P(GoldenTest, IsReplayed) {
  const json& golden = GetParam();
  const std::string name = golden.at("sync");
  const int workers = golden.at("workers");
  testing::RunRanks(workers, [&](Communicator& comm) {
    HandDrivenWorker worker(golden.at("tensor_sizes").get<std::vector<std::int64_t>>());
    if (comm.rank() == 0) worker.SetWeights(golden.at("initial").get<Floats>());
    const auto sync = MakeSynchronizer(name, worker.params(), comm, OptionsOf(golden));
    int number = 0;
    for (const json& round : golden.at("rounds")) {
      if (name == "ssgd") {
        worker.SetGradients(round.at("gradient")[comm.rank()].get<Floats>());
        sync->OnGradients();
        worker.Add(worker.gradients(), -golden.at("options").at("lr").get<double>());
      } else {
        worker.Add(round.at("displacement")[comm.rank()].get<Floats>());
        sync->Exchange(FitnessOf(round, comm.rank()));
      }
      const std::string where = "round " + std::to_string(number++) + ", rank " + std::to_string(comm.rank());
      ExpectClose(worker.weights(), round.at("after").at("x")[comm.rank()], where);
      if (name == "pso-ps") ExpectRecord(sync->last_exchange(), round, workers);
    }
    EXPECT_EQ(sync->rounds(), number);
  });
}

}  // namespace
}  // namespace swarmsync
