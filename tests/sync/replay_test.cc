// Replay itself; goldens_test replays every golden with it.

#include "swarmsync/sync/replay.h"

#include <gtest/gtest.h>

#include "support/errors.h"
#include "swarmsync/base/error.h"
#include "swarmsync/swarm/inertia_tuner.h"

namespace swarmsync {
namespace {

using testing::MessageOf;
using Floats = Replay::Vector;

TEST(Replay, BeginsWhereItIsToldAndStepsRoundByRound) {
  Replay replay("average", 2, {2, 1}, {1, 2, 3});
  EXPECT_EQ(replay.workers(), 2);
  EXPECT_EQ(replay.positions(), std::vector<Floats>(2, {1, 2, 3}));
  replay.Round({{2, 0, 0}, {0, 4, -2}}, {1, 2});
  EXPECT_EQ(replay.positions(), std::vector<Floats>(2, {2, 4, 2}));
  replay.Round({{0, 0, 2}, {0, 0, 0}}, {1, 2});
  EXPECT_EQ(replay.FinalModel(), (Floats{2, 4, 3}));
  EXPECT_EQ(replay.synchronizer(1).rounds(), 2);
}

TEST(Replay, RefusesWhatDoesNotFit) {
  MessageOf<UsageError>([] { Replay("averag", 2, {1}, {0}); });
  MessageOf<UsageError>([] { Replay("average", 0, {1}, {0}); });
  MessageOf<UsageError>([] { Replay("average", 2, {1, 2}, {0}); });
  Replay replay("average", 2, {1}, {0});
  MessageOf<UsageError>([&] { replay.Round({{1}}, {1, 2}); });
  MessageOf<UsageError>([&] { replay.Round({{1}, {1, 2}}, {1, 2}); });
  MessageOf<UsageError>([&] { replay.Round({{1}, {1}}, {1}); });
  replay.Round({{1}, {3}}, {1, 2});
  EXPECT_EQ(replay.positions()[0], Floats{2}) << "a refused round changes nothing";
}

class InertiaAuto : public ::testing::TestWithParam<Velocity> {};
INSTANTIATE_TEST_SUITE_P(Velocities, InertiaAuto, ::testing::Values(Velocity::kTotal, Velocity::kNesterov),
                         [](const auto& info) { return ToString(info.param); });

// With `auto` the workers' inertias differ, and the pupil goes on with the teacher's velocity: with nesterov
// with what the teacher keeps of it.
TEST_P(InertiaAuto, ThePupilTakesTheTeachersVelocity) {
  const bool ahead = GetParam() == Velocity::kNesterov;
  SyncOptions options;
  options.swarm.velocity = GetParam();
  options.swarm.inertia = Inertia::Auto();
  options.swarm.social = 0;
  Replay replay("pso-ps", 2, {1}, {0}, options);
  const InertiaTuner tuner(2, options.seed);
  double velocity[] = {0, 0}, found[] = {0, 0};
  for (int round = 1; round < InertiaTuner::kRounds; ++round) {
    replay.Round({{1}, {2}}, {1, 2});
    for (const int rank : {0, 1}) {
      const double w = tuner.inertias()[rank];
      velocity[rank] = w * velocity[rank] + (rank + 1);
      found[rank] += velocity[rank];
      EXPECT_NEAR(replay.positions()[rank][0], found[rank] + (ahead ? w * velocity[rank] : 0), 1e-4) << round;
    }
  }
  const auto before = replay.positions();
  replay.Round({{1}, {2}}, {1, 2});
  // Worker 1 learns from worker 0: an inertia within 0.1 of its 0.45, and its velocity.
  const double teacher = replay.positions()[0][0] - before[0][0] - 1;
  const double pupil = replay.positions()[1][0] - before[1][0] - 2;
  const double w = tuner.inertias()[0], kept = w * velocity[0];
  EXPECT_NEAR(teacher, ahead ? w * (kept + 1) : kept, 1e-4);
  const double keeps = ahead ? pupil / (kept + 2) : pupil / velocity[0];
  EXPECT_NEAR(keeps, w, InertiaTuner::kChange + 1e-4);
}

}  // namespace
}  // namespace swarmsync
