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

// With `auto` the workers' inertias differ, and the pupil goes on with the teacher's velocity.
TEST(InertiaAuto, ThePupilTakesTheTeachersVelocity) {
  SyncOptions options;
  options.swarm.inertia = Inertia::Auto();
  options.swarm.social = 0;
  Replay replay("pso-ps", 2, {1}, {0}, options);
  const InertiaTuner tuner(2, options.seed);
  double velocity[] = {0, 0}, position[] = {0, 0};
  for (int round = 1; round < InertiaTuner::kRounds; ++round) {
    replay.Round({{1}, {2}}, {1, 2});
    for (const int rank : {0, 1}) {
      velocity[rank] = tuner.inertias()[rank] * velocity[rank] + (rank + 1);
      position[rank] += velocity[rank];
      EXPECT_NEAR(replay.positions()[rank][0], position[rank], 1e-4) << round;
    }
  }
  replay.Round({{1}, {2}}, {1, 2});
  // Worker 1 learns from worker 0: an inertia within 0.1 of its 0.45, and its velocity.
  const double kept = replay.positions()[1][0] - position[1] - 2;
  EXPECT_NEAR(kept / velocity[0], tuner.inertias()[0], InertiaTuner::kChange + 1e-4);
  EXPECT_NEAR(replay.positions()[0][0] - position[0] - 1, tuner.inertias()[0] * velocity[0], 1e-4);
}

}  // namespace
}  // namespace swarmsync
