// Replays of make_goldens.py, which knows nothing of this code, over several rounds.

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "support/ranks.h"
#include "support/test_name.h"
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

// Options that a case does not name keep their defaults.
SyncOptions OptionsIn(const json& golden) {
  const json& options = golden.at("options");
  const auto text = [&](const char* name, const std::string& fallback) {
    return options.value(name, fallback);
  };
  SyncOptions result;
  PsoOptions& swarm = result.swarm;
  PeerOptions& peers = result.peers;
  result.seed = golden.at("seed").get<std::uint64_t>();
  swarm.velocity = ParseEnum<Velocity>(text("velocity", ToString(swarm.velocity)));
  swarm.random = ParseEnum<RandomScope>(text("random", ToString(swarm.random)));
  swarm.memory = ParseEnum<Memory>(text("memory", ToString(swarm.memory)));
  if (options.contains("inertia")) swarm.inertia = options.at("inertia").get<double>();
  if (options.contains("social")) swarm.social = options.at("social").get<double>();
  swarm.cognitive = options.value("cognitive", swarm.cognitive);
  swarm.memory_decay = options.value("memory_decay", swarm.memory_decay);
  swarm.beta = options.value("beta", swarm.beta);
  peers.elastic_alpha = options.value("elastic_alpha", peers.elastic_alpha);
  peers.slow_alpha = options.value("slow_alpha", peers.slow_alpha);
  peers.slow_beta = options.value("slow_beta", peers.slow_beta);
  peers.outer_lr = options.value("outer_lr", peers.outer_lr);
  peers.outer_momentum = options.value("outer_momentum", peers.outer_momentum);
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

INSTANTIATE_TEST_SUITE_P(Cases, GoldenTest, ::testing::ValuesIn(Cases()),
                         [](const auto& info) { return testing::TestName(info.param.at("name")); });

TEST_P(GoldenTest, IsReplayed) {
  const json& golden = GetParam();
  const std::string name = golden.at("sync");
  const int workers = golden.at("workers");
  testing::RunRanks(workers, [&](Communicator& comm) {
    HandDrivenWorker worker(golden.at("tensor_sizes").get<std::vector<std::int64_t>>());
    if (comm.rank() == 0) worker.SetWeights(golden.at("initial").get<Floats>());
    const auto sync = MakeSynchronizer(name, worker.params(), comm, OptionsIn(golden));
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
      if (round.at("after").contains("center")) {
        const at::Tensor center = worker.params().NewState();
        sync->WriteFinalModel(center);
        ExpectClose(testing::Values(worker.params(), center), round.at("after").at("center"), where);
      }
      if (name == "pso-ps") ExpectRecord(sync->last_exchange(), round, workers);
    }
    EXPECT_EQ(sync->rounds(), number);
  });
}

}  // namespace
}  // namespace swarmsync
