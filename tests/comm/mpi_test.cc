// The communicator of MPI, in processes that mpirun starts: each is an mpi_rank (mpi_rank.cc).

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/child_process.h"
#include "swarmsync/base/clock.h"

namespace swarmsync {
namespace {

using testing::ChildProcess;
using ::testing::HasSubstr;

// With as many ranks as are asked for, whatever there is of processors.
ChildProcess Mpirun(int ranks, const std::string& mode, double timeout = 60) {
  return ChildProcess(
      {SWARMSYNC_MPIRUN, "-n", std::to_string(ranks), SWARMSYNC_MPI_RANK, mode, fmt::format("{}", timeout)});
}

class MpiTest : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, MpiTest, ::testing::Range(1, 9));

TEST_P(MpiTest, EveryCollectiveGivesItsResult) {
  ChildProcess ranks = Mpirun(GetParam(), "check");
  EXPECT_EQ(ranks.Wait(), 0) << ranks.ReadAll();
}

TEST(Mpi, ShowsThatItWaits) {
  ChildProcess ranks = Mpirun(3, "stall-unnamed");
  EXPECT_EQ(ranks.Wait(), 0) << ranks.ReadAll();
}

TEST(Mpi, AFrozenRankEndsTheOthersAfterTheTimeout) {
  const double begin = MonotonicSeconds();
  ChildProcess ranks = Mpirun(3, "freeze", 5);
  EXPECT_EQ(ranks.Wait(), 4);
  EXPECT_GE(MonotonicSeconds() - begin, 5);
  EXPECT_THAT(ranks.ReadAll(), HasSubstr("it was not done within 5 s"));
}

TEST(Mpi, AnotherMpisLauncherIsFoundOut) {
  ChildProcess rank({"/usr/bin/env", "PMI_RANK=0", "PMI_SIZE=2", SWARMSYNC_MPI_RANK, "check", "60"});
  EXPECT_EQ(rank.Wait(), 1);
  EXPECT_THAT(rank.ReadAll(), ::testing::AllOf(HasSubstr("PMI_RANK says that there are 2 ranks"),
                                               HasSubstr("mpirun of this MPI")));
}

}  // namespace
}  // namespace swarmsync
