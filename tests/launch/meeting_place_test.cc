#include "launch/meeting_place.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "support/errors.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::MessageOf;

using Variables = std::map<std::string, std::string>;

Rendezvous MeetingPlace(const Variables& variables) {
  const auto lookup = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
  return MeetingPlaceOf(*DiscoverRank(lookup), lookup);
}
std::string FileOf(const Variables& variables) {
  return std::get<FileRendezvous>(MeetingPlace(variables)).file.string();
}

// A place of the test's own for temporary files.
class MeetingPlaceTest : public ::testing::Test {
 protected:
  MeetingPlaceTest() { setenv("TMPDIR", directory_.path().c_str(), 1); }
  ~MeetingPlaceTest() override { unsetenv("TMPDIR"); }

  std::filesystem::path DirectoryOfUser() const {
    return directory_.path() / ("swarmsync-user-" + std::to_string(geteuid()));
  }

 private:
  PrivateDirectory directory_;
};

const Variables kSrunOnOneHost{{"SLURM_PROCID", "1"},  {"SLURM_NTASKS", "3"},
                               {"SLURM_LOCALID", "1"}, {"SLURM_JOB_ID", "71"},
                               {"SLURM_STEP_ID", "2"}, {"SLURM_STEP_TASKS_PER_NODE", "3"}};
const Variables kMpirunOnOneHost{
    {"OMPI_COMM_WORLD_RANK", "0"},       {"OMPI_COMM_WORLD_SIZE", "2"},
    {"OMPI_COMM_WORLD_LOCAL_RANK", "0"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
    {"PMIX_NAMESPACE", "927072257"},     {"PMIX_SERVER_TMPDIR", "/tmp/ompi.host.0/pid.7"}};

Variables With(Variables variables, const Variables& others) {
  for (const auto& [name, value] : others) variables[name] = value;
  return variables;
}

TEST_F(MeetingPlaceTest, EachStepOfSlurmOnOneHostHasAFileOfItsOwn) {
  const std::string file = FileOf(kSrunOnOneHost);
  EXPECT_EQ(std::filesystem::path(file).parent_path(), DirectoryOfUser());
  struct stat found {};
  ASSERT_EQ(stat(DirectoryOfUser().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0700u);
  EXPECT_EQ(FileOf(With(kSrunOnOneHost, {{"SLURM_PROCID", "0"}, {"SLURM_LOCALID", "0"}})), file);
  for (const Variables& other : std::vector<Variables>{{{"SLURM_STEP_ID", "3"}},
                                                       {{"SLURM_JOB_ID", "72"}},
                                                       {{"SLURM_RESTART_COUNT", "1"}},
                                                       {{"SLURM_CLUSTER_NAME", "other"}}}) {
    EXPECT_NE(FileOf(With(kSrunOnOneHost, other)), file) << other.begin()->first;
  }
}

TEST_F(MeetingPlaceTest, SlurmOnSeveralHostsMeetsAtTheFirst) {
  const Variables variables = With(kSrunOnOneHost, {{"SLURM_STEP_TASKS_PER_NODE", "2,1"},
                                                    {"SLURM_NODEID", "0"},
                                                    {"SLURM_STEP_NODELIST", "node[04-05]"},
                                                    {"SWARMSYNC_TOKEN", "the token"}});
  const auto place = std::get<TokenRendezvous>(MeetingPlace(variables));
  EXPECT_EQ(place.host, "node04");
  EXPECT_EQ(place.token, "the token");
  EXPECT_GT(place.port, 1023);
  const auto other = std::get<TokenRendezvous>(MeetingPlace(With(variables, {{"SLURM_STEP_ID", "3"}})));
  EXPECT_NE(other.port, place.port);
}

TEST_F(MeetingPlaceTest, OpenMpiMeetsInAFileOfItsNamespace) {
  const std::string file = FileOf(kMpirunOnOneHost);
  EXPECT_EQ(
      FileOf(With(kMpirunOnOneHost, {{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}})),
      file);
  EXPECT_NE(FileOf(With(kMpirunOnOneHost, {{"PMIX_NAMESPACE", "prterun-host-7@1/../x"}})), file);
  EXPECT_NE(FileOf(With(kMpirunOnOneHost, {{"PMIX_SERVER_TMPDIR", "/tmp/ompi.host.0/pid.8"}})), file);
}

TEST_F(MeetingPlaceTest, MpichMeetsInAFileOfItsLauncher) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const Variables variables{
      {"PMI_RANK", "0"}, {"PMI_SIZE", "2"}, {"MPI_LOCALNRANKS", "2"}, {"PMI_FD", std::to_string(ends[0])}};
  EXPECT_THAT(FileOf(variables), HasSubstr("mpich-" + std::to_string(getpid()) + "-"));
  close(ends[0]);
  close(ends[1]);
  EXPECT_THAT(MessageOf<UsageError>([&] { MeetingPlace(variables); }), HasSubstr("MASTER_ADDR"));
}

TEST_F(MeetingPlaceTest, MasterVariablesComeFirst) {
  for (const Variables& launcher : {kSrunOnOneHost, kMpirunOnOneHost}) {
    const auto place = std::get<TokenRendezvous>(
        MeetingPlace(With(launcher, {{"MASTER_ADDR", "10.0.0.1"}, {"MASTER_PORT", "29500"}})));
    EXPECT_EQ(place.host, "10.0.0.1");
    EXPECT_EQ(place.port, 29500);
  }
}

TEST_F(MeetingPlaceTest, HalfOfAnAddressIsRefused) {
  EXPECT_THAT(
      MessageOf<UsageError>([] {
        MeetingPlace(With(kSrunOnOneHost, {{"MASTER_PORT", "29500"}}));
      }),
      AllOf(HasSubstr("MASTER_ADDR and MASTER_PORT"), HasSubstr("rank 1 of 3"), HasSubstr("set both")));
}

TEST_F(MeetingPlaceTest, OpenMpiOnSeveralHostsNeedsAnAddress) {
  EXPECT_THAT(MessageOf<UsageError>([] {
                MeetingPlace(With(kMpirunOnOneHost, {{"OMPI_COMM_WORLD_LOCAL_SIZE", "1"}}));
              }),
              AllOf(HasSubstr("OMPI_COMM_WORLD_RANK"), HasSubstr("MASTER_ADDR"), HasSubstr("rank 0 of 2")));
}

TEST_F(MeetingPlaceTest, ADirectoryThatOthersCanWriteToIsRefused) {
  std::filesystem::create_directory(DirectoryOfUser());
  chmod(DirectoryOfUser().c_str(), 0777);
  EXPECT_THAT(MessageOf<UsageError>([] { MeetingPlace(kSrunOnOneHost); }),
              AllOf(HasSubstr(DirectoryOfUser().string()), HasSubstr("only this user"), HasSubstr("TMPDIR")));
  std::filesystem::remove(DirectoryOfUser());
  std::filesystem::create_symlink(std::filesystem::temp_directory_path(), DirectoryOfUser());
  EXPECT_THAT(MessageOf<UsageError>([] { MeetingPlace(kSrunOnOneHost); }), HasSubstr("only this user"));
}

}  // namespace
}  // namespace swarmsync
