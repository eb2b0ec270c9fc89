// The tool under the real launchers: torchrun, Open MPI's and MPICH's mpirun, and Slurm's srun.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "cli/tool.h"
#include "support/child_process.h"
#include "support/socket.h"
#include "support/test_name.h"

namespace swarmsync::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

// A Slurm of one node on this host, for a test alone: its own configuration, key and ports. Needs to be root.
class Slurm {
 public:
  static bool CanBeHad() {
    return geteuid() == 0 && fs::exists("/usr/sbin/slurmctld") && fs::exists("/usr/sbin/munged");
  }

  Slurm() {
    char host[256] = {};
    gethostname(host, sizeof host - 1);
    const std::string name = std::string(host).substr(0, std::string(host).find('.'));
    const std::string at = directory_.path().string();
    WriteFileAtomically(directory_.path() / "key", std::string(128, 'k'));
    fs::permissions(directory_.path() / "key", fs::perms::owner_read);
    WriteFileAtomically(
        directory_.path() / "slurm.conf",
        fmt::format("ClusterName=test\nSlurmctldHost={0}(127.0.0.1)\nSlurmctldPort={2}\nSlurmdPort={3}\n"
                    "AuthType=auth/munge\nAuthInfo=socket={1}/munge.socket\nCredType=cred/munge\n"
                    "SlurmUser=root\nSlurmdUser=root\nStateSaveLocation={1}\nSlurmdSpoolDir={1}/spool\n"
                    "SlurmctldPidFile={1}/ctld.pid\nSlurmdPidFile={1}/slurmd.pid\n"
                    "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSelectType=select/cons_tres\n"
                    "SelectTypeParameters=CR_CPU\nMpiDefault=none\nReturnToService=2\n"
                    "SlurmdParameters=config_overrides\n"
                    "NodeName={0} NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN\n"
                    "PartitionName=all Nodes=ALL Default=YES State=UP\n",
                    name, at, FreePort(), FreePort()));
    Start({"/usr/sbin/munged", "--foreground", "--force", "--key-file=" + at + "/key",
           "--socket=" + at + "/munge.socket", "--pid-file=" + at + "/munged.pid",
           "--log-file=" + at + "/munged.log", "--seed-file=" + at + "/seed"});
    EXPECT_TRUE(WaitUntil([&] { return fs::exists(at + "/munge.socket"); }));
    Start({"/usr/sbin/slurmctld", "-D"});
    Start({"/usr/sbin/slurmd", "-D"});
    EXPECT_TRUE(WaitUntil([&] {
      return ChildProcess({"/usr/bin/env", Conf(), "/usr/bin/srun", "--quiet", "--immediate=1", "true"})
                 .Wait() == 0;
    })) << ReadFile(at + "/log");
  }
  ~Slurm() {
    while (!daemons_.empty()) {
      daemons_.back()->Signal(SIGTERM);
      daemons_.back()->Wait();
      daemons_.pop_back();
    }
  }

  std::string Conf() const { return "SLURM_CONF=" + (directory_.path() / "slurm.conf").string(); }

 private:
  void Start(const Arguments& command) {
    const std::string quietly = fmt::format("exec \"$@\" >>{}/log 2>&1", directory_.path().string());
    daemons_.push_back(std::make_unique<ChildProcess>(
        Arguments{"/usr/bin/env", Conf(), "/bin/sh", "-c", quietly, "sh"} + command));
  }

  PrivateDirectory directory_;
  std::vector<std::unique_ptr<ChildProcess>> daemons_;
};

const Arguments kOpenMpi{"/usr/bin/mpirun.openmpi", "--allow-run-as-root", "--oversubscribe", "-n"};
const Arguments kMpich{"/usr/bin/mpirun.mpich", "-n"};

class LaunchersTest : public ToolTest {
 protected:
  // Trains with two ranks by a launcher, and with two local workers; expects the same model.
  void ExpectToTrainWhatLocalWorkersTrain(const Arguments& launcher, const Arguments& flags = {},
                                          const Arguments& of_launched = {}) {
    Arguments arguments = Train("run", Arguments{"--seed=4"} + flags + of_launched);
    arguments.erase(std::find(arguments.begin(), arguments.end(), "--workers=2"));
    Tool launched(arguments, Environment(), launcher);
    const ToolResult& result = launched.Wait();
    EXPECT_EQ(result.exit_code, 0) << result.err << result.out;
    const std::size_t spoken = result.out.find("test accuracy");
    EXPECT_NE(spoken, std::string::npos) << result.out;
    EXPECT_EQ(result.out.find("test accuracy", spoken + 1), std::string::npos) << "one rank speaks for all";
    EXPECT_EQ(ReadJson(Path("run/summary.json")).at("workers"), 2);

    RunWell(Train("local", Arguments{"--seed=4"} + flags));
    EXPECT_TRUE(ReadFile(Path("run/model.safetensors")) == ReadFile(Path("local/model.safetensors")));
    ExpectNobodyWaitsInTheDirectoryOfTheUser();
  }

  // Where ranks of mpirun and srun have met; torchrun leaves files of its own beside it.
  void ExpectNobodyWaitsInTheDirectoryOfTheUser() {
    const fs::path directory = Path("tmp") / fmt::format("swarmsync-user-{}", geteuid());
    EXPECT_TRUE(!fs::exists(directory) || fs::is_empty(directory))
        << fs::directory_iterator(directory)->path();
  }
};

TEST_F(LaunchersTest, TorchrunWhoseAgentServesTheStore) {
  ExpectToTrainWhatLocalWorkersTrain({SWARMSYNC_PYTHON, "-m", "torch.distributed.run", "--standalone",
                                      "--nproc_per_node=2", "--no_python", "--redirects=9:1", "--tee=9:1"});
}

// As under PyTorch's own static rendezvous of several hosts.
TEST_F(LaunchersTest, TorchrunWhoseRankZeroServesTheStore) {
  ExpectToTrainWhatLocalWorkersTrain({SWARMSYNC_PYTHON, "-m", "torch.distributed.run", "--nnodes=1",
                                      "--node_rank=0", "--master_addr=127.0.0.1",
                                      "--master_port=" + std::to_string(FreePort()), "--nproc_per_node=2",
                                      "--no_python", "--redirects=9:1", "--tee=9:1"});
}

TEST_F(LaunchersTest, MpirunOfOpenMpi) {
  if (!fs::exists(kOpenMpi[0])) GTEST_SKIP() << "Open MPI is not installed";
  ExpectToTrainWhatLocalWorkersTrain(kOpenMpi + Arguments{"2"});
}

TEST_F(LaunchersTest, MpirunOfMpich) {
  if (!fs::exists(kMpich[0])) GTEST_SKIP() << "MPICH is not installed";
  ExpectToTrainWhatLocalWorkersTrain(kMpich + Arguments{"2"});
}

TEST_F(LaunchersTest, MpirunThroughAScript) {
  for (const Arguments& mpirun : {kOpenMpi, kMpich}) {
    if (!fs::exists(mpirun[0])) continue;
    fs::remove_all(Path("run"));
    fs::remove_all(Path("local"));
    ExpectToTrainWhatLocalWorkersTrain(mpirun + Arguments{"2", "/bin/sh", "-c", "\"$0\" \"$@\"; exit $?"});
  }
}

// Two jobs at once do not find each other.
TEST_F(LaunchersTest, MpirunTwiceAtOnce) {
  for (const Arguments& mpirun : {kOpenMpi, kMpich}) {
    if (!fs::exists(mpirun[0])) continue;
    std::vector<std::unique_ptr<Tool>> jobs;
    for (const char* out : {"one", "other"}) {
      Arguments arguments = Train(out, {"--overwrite"});
      arguments.erase(std::find(arguments.begin(), arguments.end(), "--workers=2"));
      jobs.push_back(std::make_unique<Tool>(arguments, Environment(), mpirun + Arguments{"2"}));
    }
    for (const auto& job : jobs) EXPECT_EQ(job->Wait().exit_code, 0) << job->Wait().err;
    EXPECT_TRUE(ReadFile(Path("one/model.safetensors")) == ReadFile(Path("other/model.safetensors")));
    ExpectNobodyWaitsInTheDirectoryOfTheUser();
  }
}

TEST_F(LaunchersTest, MpiCarriesTheSameBits) {
#ifndef SWARMSYNC_MPIRUN
  GTEST_SKIP() << "built without MPI";
#else
  // In builds with AddressSanitizer: Open MPI gives back less than it takes.
  const Arguments mpirun{SWARMSYNC_MPIRUN, "-n", "2", "env", "ASAN_OPTIONS=detect_leaks=0"};
  for (const char* sync : {"--sync=pso-ps", "--sync=ssgd", "--sync=informed-pso-ps"}) {
    ExpectToTrainWhatLocalWorkersTrain(mpirun, {sync, "--overwrite"}, {"--transport=mpi"});
  }
  ExpectToTrainWhatLocalWorkersTrain(mpirun, {"--overlap=1", "--wire=int8", "--overwrite"},
                                     {"--transport=mpi"});
#endif
}

TEST_F(LaunchersTest, MpiIsForRanksThatALauncherHasStarted) {
  ExpectOneLine(Run(Train("run", {"--transport=mpi"})), 2, {"--transport is mpi", "mpirun", "leave it out"});
}

TEST_F(LaunchersTest, WorkersBesideMpirunAreRefused) {
  if (!fs::exists(kOpenMpi[0])) GTEST_SKIP() << "Open MPI is not installed";
  Tool launched(Train("run"), Environment(), kOpenMpi + Arguments{"1"});
  EXPECT_EQ(launched.Wait().exit_code, 2);
  EXPECT_THAT(launched.Wait().err,
              HasSubstr("--workers starts local workers, and OMPI_COMM_WORLD_RANK says"));
}

TEST_F(LaunchersTest, SrunWithAndWithoutMpi) {
  if (!Slurm::CanBeHad()) GTEST_SKIP() << "Slurm is not installed, or this is not root";
  const Slurm slurm;
  for (const char* mpi : {"none", "pmi2"}) {
    fs::remove_all(Path("run"));
    fs::remove_all(Path("local"));
    ExpectToTrainWhatLocalWorkersTrain(
        {"/usr/bin/env", slurm.Conf(), "/usr/bin/srun", "--quiet", "-n", "2", std::string("--mpi=") + mpi});
  }
  // A batch script is no rank; it may start local workers, or ranks.
  Tool batch(Train("batch"), Environment(),
             {"/usr/bin/env", slurm.Conf(), "/usr/bin/salloc", "--quiet", "-n", "2"});
  EXPECT_EQ(batch.Wait().exit_code, 0) << batch.Wait().err;
}

}  // namespace
}  // namespace swarmsync::testing
