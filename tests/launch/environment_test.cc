#include "swarmsync/launch/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <ostream>
#include <vector>

#include "support/errors.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::MessageOf;

using Variables = std::map<std::string, std::string>;

std::optional<LaunchedRank> Discover(const Variables& variables) {
  return DiscoverRank([&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

void ExpectRank(const Variables& variables, int rank, int size, int local_rank, const std::string& launcher) {
  const auto launched = Discover(variables);
  ASSERT_TRUE(launched.has_value()) << launcher;
  EXPECT_EQ(launched->rank, rank) << launcher;
  EXPECT_EQ(launched->size, size) << launcher;
  EXPECT_EQ(launched->local_rank, local_rank) << launcher;
  EXPECT_EQ(launched->variable, launcher);
}

const Variables kTorchrun{{"RANK", "5"}, {"WORLD_SIZE", "8"}, {"LOCAL_RANK", "1"}};
const Variables kMpich{{"PMI_RANK", "3"}, {"PMI_SIZE", "4"}, {"MPI_LOCALRANKID", "2"}};
const Variables kOpenMpi{
    {"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "0"}};
const Variables kSlurm{
    {"SLURM_PROCID", "6"}, {"SLURM_NTASKS", "7"}, {"SLURM_LOCALID", "3"}, {"SLURM_STEP_ID", "0"}};

Variables operator+(Variables a, const Variables& b) {
  a.insert(b.begin(), b.end());
  return a;
}

TEST(DiscoverRank, NoLauncherIsNoRank) {
  EXPECT_FALSE(Discover({}).has_value());
  EXPECT_FALSE(Discover({{"WORLD_SIZE", "4"}, {"LOCAL_RANK", "1"}, {"MASTER_PORT", "1"}}).has_value());
}

TEST(DiscoverRank, KnowsEveryLauncher) {
  ExpectRank(kTorchrun, 5, 8, 1, "RANK");
  ExpectRank(kMpich, 3, 4, 2, "PMI_RANK");
  ExpectRank(kOpenMpi, 1, 2, 0, "OMPI_COMM_WORLD_RANK");
  ExpectRank(kSlurm, 6, 7, 3, "SLURM_PROCID");
}

TEST(DiscoverRank, TheFirstLauncherOfTheOrderWins) {
  ExpectRank(kSlurm + kOpenMpi + kMpich + kTorchrun, 5, 8, 1, "RANK");
  ExpectRank(kSlurm + kOpenMpi + kMpich, 3, 4, 2, "PMI_RANK");
  ExpectRank(kSlurm + kOpenMpi, 1, 2, 0, "OMPI_COMM_WORLD_RANK");
}

TEST(DiscoverRank, ALocalRankMayBeMissing) {
  ExpectRank({{"RANK", "1"}, {"WORLD_SIZE", "2"}}, 1, 2, 0, "RANK");
  ExpectRank({{"PMI_RANK", "0"}, {"PMI_SIZE", "1"}}, 0, 1, 0, "PMI_RANK");
}

TEST(DiscoverRank, ASlurmBatchScriptIsNoRank) {
  const Variables batch{{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_LOCALID", "0"}};
  EXPECT_FALSE(Discover(batch).has_value());
  ExpectRank(batch + kTorchrun, 5, 8, 1, "RANK");  // torchrun inside the batch script
  ExpectRank(batch + Variables{{"SLURM_STEP_ID", "12"}}, 0, 4, 0, "SLURM_PROCID");
}

TEST(DiscoverRank, SlurmsOtherShellsAreNoRanks) {
  const Variables shell{{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_STEP_ID", "4294967290"}};
  EXPECT_FALSE(Discover(shell).has_value());
}

TEST(DiscoverRank, SrunThatSpeaksForMpiIsSlurm) {
  ExpectRank(kSlurm + Variables{{"SLURM_MPI_TYPE", "pmi2"}, {"PMI_RANK", "6"}, {"PMI_SIZE", "7"}}, 6, 7, 3,
             "SLURM_PROCID");
}

TEST(DiscoverRank, KnowsHowManyRanksAreHere) {
  const auto all_here = [](const Variables& variables) { return Discover(variables)->all_here(); };
  EXPECT_FALSE(all_here(kTorchrun));
  EXPECT_FALSE(all_here(kTorchrun + Variables{{"LOCAL_WORLD_SIZE", "4"}}));
  EXPECT_TRUE(all_here(kTorchrun + Variables{{"LOCAL_WORLD_SIZE", "8"}}));
  EXPECT_TRUE(all_here(kMpich + Variables{{"MPI_LOCALNRANKS", "4"}}));
  EXPECT_TRUE(all_here(kOpenMpi + Variables{{"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}}));
  EXPECT_TRUE(all_here(kSlurm + Variables{{"SLURM_STEP_TASKS_PER_NODE", "7"}}));
  const Variables second_node{{"SLURM_STEP_TASKS_PER_NODE", "3,4"}, {"SLURM_NODEID", "1"}};
  EXPECT_EQ(Discover(kSlurm + second_node)->local_size, 4);
}

TEST(DiscoverRank, ContradictionsAreRefused) {
  const auto refusal = [](const Variables& variables) {
    return MessageOf<UsageError>([&] { Discover(variables); });
  };
  EXPECT_THAT(
      refusal(
          {{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}}),
      AllOf(HasSubstr("RANK says"), HasSubstr("rank 0 of 2"), HasSubstr("OMPI_COMM_WORLD_RANK"),
            HasSubstr("rank 1"), HasSubstr("unset")));
  // As when mpirun starts one torchrun on each host.
  ExpectRank(kOpenMpi + kTorchrun, 5, 8, 1, "RANK");
  EXPECT_THAT(refusal({{"RANK", "1"}, {"WORLD_SIZE", "4"}, {"LOCAL_RANK", "2"}, {"LOCAL_WORLD_SIZE", "2"}}),
              AllOf(HasSubstr("LOCAL_RANK is 2"), HasSubstr("2 ranks")));
  EXPECT_THAT(refusal({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "1"}, {"LOCAL_WORLD_SIZE", "3"}}),
              AllOf(HasSubstr("3 ranks"), HasSubstr("WORLD_SIZE is 2")));
}

TEST(DiscoverRank, AMissingSizeIsRefused) {
  EXPECT_THAT(MessageOf<UsageError>([] {
                Discover({{"RANK", "0"}});
              }),
              AllOf(HasSubstr("RANK"), HasSubstr("WORLD_SIZE"), HasSubstr("sets both")));
  EXPECT_THAT(MessageOf<UsageError>([] {
                Discover({{"RANK", "0"}, {"WORLD_SIZE", ""}});
              }),
              HasSubstr("WORLD_SIZE"));
  EXPECT_THAT(MessageOf<UsageError>([] { Discover({{"PMI_RANK", "0"}}); }), HasSubstr("PMI_SIZE"));
  EXPECT_THAT(MessageOf<UsageError>([] {
                Discover({{"OMPI_COMM_WORLD_RANK", "0"}});
              }),
              HasSubstr("OMPI_COMM_WORLD_SIZE"));
  EXPECT_THAT(MessageOf<UsageError>([] {
                Discover({{"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", "0"}});
              }),
              HasSubstr("SLURM_NTASKS"));
}

TEST(DiscoverRank, NonsenseIsRefusedWithTheValueAndWhatIsAllowed) {
  struct Case {
    Variables variables;
    std::string name, value, allowed;
  };
  const std::vector<Case> cases{
      {{{"RANK", "one"}, {"WORLD_SIZE", "2"}}, "RANK", "'one'", "0 to 1"},
      {{{"RANK", ""}, {"WORLD_SIZE", "2"}}, "RANK", "''", "0 to 1"},
      {{{"RANK", "-1"}, {"WORLD_SIZE", "2"}}, "RANK", "'-1'", "0 to 1"},
      {{{"RANK", "2"}, {"WORLD_SIZE", "2"}}, "RANK", "'2'", "0 to 1"},
      {{{"RANK", "1 "}, {"WORLD_SIZE", "2"}}, "RANK", "'1 '", "0 to 1"},
      {{{"RANK", "1.0"}, {"WORLD_SIZE", "2"}}, "RANK", "'1.0'", "0 to 1"},
      {{{"RANK", "0x1"}, {"WORLD_SIZE", "2"}}, "RANK", "'0x1'", "0 to 1"},
      {{{"RANK", "99999999999"}, {"WORLD_SIZE", "2"}}, "RANK", "'99999999999'", "0 to 1"},
      {{{"RANK", "0"}, {"WORLD_SIZE", "0"}}, "WORLD_SIZE", "'0'", "1 to"},
      {{{"RANK", "0"}, {"WORLD_SIZE", "-4"}}, "WORLD_SIZE", "'-4'", "1 to"},
      {{{"RANK", "0"}, {"WORLD_SIZE", "many"}}, "WORLD_SIZE", "'many'", "1 to"},
      {{{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "x"}}, "LOCAL_RANK", "'x'", "0 to"},
      {{{"SLURM_PROCID", "4"}, {"SLURM_NTASKS", "4"}, {"SLURM_STEP_ID", "0"}},
       "SLURM_PROCID",
       "'4'",
       "0 to 3"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(MessageOf<UsageError>([&] { Discover(c.variables); }),
                AllOf(HasSubstr(c.name + " is " + c.value), HasSubstr(c.allowed)));
  }
}

// Sets variables of this process while it lives.
class Environment {
 public:
  explicit Environment(const Variables& variables) : variables_(variables) {
    for (const auto& [name, value] : variables_) setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const auto& [name, value] : variables_) unsetenv(name.c_str());
  }

 private:
  Variables variables_;
};

TEST(GetEnvironment, TellsUnsetFromEmpty) {
  const Environment environment({{"SWARMSYNC_TEST_EMPTY", ""}, {"SWARMSYNC_TEST_FULL", "x"}});
  EXPECT_EQ(GetEnvironment("SWARMSYNC_TEST_EMPTY"), "");
  EXPECT_EQ(GetEnvironment("SWARMSYNC_TEST_FULL"), "x");
  EXPECT_EQ(GetEnvironment("SWARMSYNC_TEST_UNSET"), std::nullopt);
}

TEST(ConnectFromEnvironment, WithoutALauncherItIsAWorldOfOne) {
  const auto comm = ConnectFromEnvironment();
  EXPECT_EQ(comm->rank(), 0);
  EXPECT_EQ(comm->size(), 1);
  EXPECT_EQ(comm->AllGather(2.5), std::vector<double>{2.5});
}

TEST(ConnectFromEnvironment, AWorldOfOneNeedsNoAddress) {
  const Environment environment({{"RANK", "0"}, {"WORLD_SIZE", "1"}});
  EXPECT_EQ(ConnectFromEnvironment()->size(), 1);
}

TEST(ConnectFromEnvironment, SeveralRanksNeedAnAddress) {
  const Variables ranks{{"RANK", "0"}, {"WORLD_SIZE", "2"}};
  const auto refusal = [] { return MessageOf<UsageError>([] { ConnectFromEnvironment(); }); };
  {
    const Environment environment(ranks);
    EXPECT_THAT(refusal(), AllOf(HasSubstr("MASTER_ADDR"), HasSubstr("MASTER_PORT"), HasSubstr("0 of 2")));
  }
  {
    const Environment environment(ranks + Variables{{"MASTER_ADDR", "127.0.0.1"}});
    EXPECT_THAT(refusal(), HasSubstr("MASTER_PORT"));
  }
  for (const char* port : {"0", "65536", "http", ""}) {
    const Environment environment(ranks + Variables{{"MASTER_ADDR", "127.0.0.1"}, {"MASTER_PORT", port}});
    EXPECT_THAT(refusal(), AllOf(HasSubstr("MASTER_PORT is"), HasSubstr("1 to 65535")));
  }
}

TEST(ConnectFromEnvironment, ARankThatNeverComesIsACommError) {
  const Environment environment(
      {{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"SWARMSYNC_STORE", "/tmp/no/such/store"}});
  EXPECT_THAT(MessageOf<CommError>([] { ConnectFromEnvironment({std::chrono::milliseconds(200)}); }),
              AllOf(HasSubstr("rank 1 of 2"), HasSubstr("/tmp/no/such/store")));
}

}  // namespace
}  // namespace swarmsync
