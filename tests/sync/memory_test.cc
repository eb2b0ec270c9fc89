// What a synchronizer takes of memory for each parameter, and that an exchange takes none of the size of the
// model.

#include <gtest/gtest.h>

#include <map>

#include "params/memory_meter.h"
#include "support/ranks.h"
#include "support/test_name.h"
#include "swarmsync/sync/synchronizer.h"
#include "sync/worker.h"

namespace swarmsync {
namespace {

constexpr std::int64_t kSize = 1 << 20;
constexpr std::int64_t kLarge = kSize / 4;  // bytes: less than any part of the model that an exchange handles

struct Use {
  double bytes_for_each_parameter;  // of a worker, beside weights and gradients
  std::int64_t large_pieces;        // that one exchange of all workers takes, when some have been made
};

Use UseOf(const std::string& name, const SyncOptions& options) {
  constexpr int kWorkers = 2;
  Use use{};
  const MemoryMeter meter(kLarge);
  testing::RunRanks(kWorkers, [&](Communicator& comm) {
    testing::HandDrivenWorker worker({kSize});
    comm.Barrier();
    const std::int64_t before = meter.held();
    comm.Barrier();
    const auto sync = MakeSynchronizer(name, worker.params(), comm, options);
    const auto exchange = [&](int round) {
      sync->OnGradients();
      sync->Exchange(1.0 / (round + 1) + (comm.rank() + round) % kWorkers);
      sync->Drain();
      comm.Barrier();
    };
    for (int round = 0; round < 3; ++round) exchange(round);
    const std::int64_t held = meter.held() - before, pieces = meter.pieces();
    comm.Barrier();
    exchange(3);
    if (comm.rank() == 0) use = {static_cast<double>(held) / (kWorkers * kSize), meter.pieces() - pieces};
    comm.Barrier();
  });
  return use;
}

// Bytes for each parameter: docs/speed.md has this table.
const std::map<std::string, double>& Expected() {
  static const std::map<std::string, double> bytes{{"ssgd", 0},
                                                   {"average", 4},
                                                   {"leader", 4},
                                                   {"easgd", 8},
                                                   {"slowmo", 12},
                                                   {"diloco", 12},
                                                   {"pso-ps", 16},  // velocity, start, guide, average
                                                   {"informed-pso-ps", 16}};
  return bytes;
}

class MemoryTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Names, MemoryTest, ::testing::ValuesIn(SynchronizerNames()),
                         [](const auto& info) { return testing::TestName(info.param); });

TEST_P(MemoryTest, IsWhatTheTableSays) {
  EXPECT_NEAR(UseOf(GetParam(), {}).bytes_for_each_parameter, Expected().at(GetParam()), 0.01);
}

TEST_P(MemoryTest, AnExchangeTakesNoneOfTheModelsSize) {
  EXPECT_EQ(UseOf(GetParam(), {}).large_pieces, 0);
  SyncOptions encoded;
  encoded.wire = Wire::kInt8;
  EXPECT_EQ(UseOf(GetParam(), encoded).large_pieces, 0);
  SyncOptions overlapped;
  overlapped.overlap = 1;
  if (GetParam() != "ssgd") {
    EXPECT_EQ(UseOf(GetParam(), overlapped).large_pieces, 0);
  }
  SyncOptions grouped;
  grouped.group_size = 2;
  EXPECT_EQ(UseOf(GetParam(), grouped).large_pieces, 0);
}

TEST_P(MemoryTest, GroupsTakeOneCopyMore) {
  SyncOptions options;
  options.group_size = 2;
  const double more = GetParam() == "ssgd" ? 0 : 4;
  EXPECT_NEAR(UseOf(GetParam(), options).bytes_for_each_parameter, Expected().at(GetParam()) + more, 0.01);
}

TEST_P(MemoryTest, OverlapTakesTwoCopiesMoreAndInt8AtMostFour) {
  const double plain = UseOf(GetParam(), {}).bytes_for_each_parameter;
  SyncOptions options;
  options.wire = Wire::kInt8;
  EXPECT_LE(UseOf(GetParam(), options).bytes_for_each_parameter, plain + 16);
  options.wire = Wire::kFp32;
  options.overlap = 1;
  if (GetParam() != "ssgd") {
    EXPECT_NEAR(UseOf(GetParam(), options).bytes_for_each_parameter, plain + 8, 0.01);
  }
}

}  // namespace
}  // namespace swarmsync
