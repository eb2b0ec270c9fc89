// Replays of make_goldens.py, which knows nothing of this code, over several rounds.

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "support/test_name.h"
#include "swarmsync/sync/replay.h"

namespace swarmsync {
namespace {

using nlohmann::json;
using Floats = Replay::Vector;

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
  if (options.contains("slow_beta")) peers.slow_beta = options.at("slow_beta").get<double>();
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

// For ssgd the displacement is a step against the gradient.
std::vector<Floats> DisplacementsIn(const json& round, const json& golden) {
  if (!round.contains("gradient")) return round.at("displacement").get<std::vector<Floats>>();
  auto displacements = round.at("gradient").get<std::vector<Floats>>();
  const auto lr = golden.at("options").at("lr").get<float>();
  for (Floats& displacement : displacements) {
    for (float& value : displacement) value *= -lr;
  }
  return displacements;
}

TEST_P(GoldenTest, IsReplayed) {
  const json& golden = GetParam();
  const int workers = golden.at("workers");
  Replay replay(golden.at("sync").get<std::string>(), workers,
                golden.at("tensor_sizes").get<std::vector<std::int64_t>>(),
                golden.at("initial").get<Floats>(), OptionsIn(golden));
  int number = 0;
  for (const json& round : golden.at("rounds")) {
    std::vector<double> fitness;
    for (int rank = 0; rank < workers; ++rank) fitness.push_back(FitnessOf(round, rank));
    replay.Round(DisplacementsIn(round, golden), fitness);

    const std::string where = "round " + std::to_string(number++);
    const json& after = round.at("after");
    for (int rank = 0; rank < workers; ++rank) {
      ExpectClose(replay.positions()[rank], after.at("x")[rank], where + ", rank " + std::to_string(rank));
    }
    if (after.contains("center")) ExpectClose(replay.FinalModel(), after.at("center"), where);
    if (after.contains("guide_updated")) ExpectRecord(replay.synchronizer(0).last_exchange(), round, workers);
    EXPECT_EQ(replay.synchronizer(0).rounds(), number);
  }
}

}  // namespace
}  // namespace swarmsync
