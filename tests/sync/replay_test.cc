// Replay itself; goldens_test replays every golden with it.

#include "swarmsync/sync/replay.h"

#include <gtest/gtest.h>

#include "support/errors.h"
#include "swarmsync/base/error.h"

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

}  // namespace
}  // namespace swarmsync
