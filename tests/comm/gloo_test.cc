// Gloo between real processes: each rank is a gloo_rank (gloo_rank.cc) of its own.

#include "swarmsync/comm/gloo.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "support/child_process.h"
#include "support/errors.h"
#include "support/socket.h"
#include "support/test_name.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

using testing::ChildProcess;
using ::testing::EndsWith;
using testing::FreePort;
using testing::MessageOf;
using testing::Socket;

// The TCP ports on which a process listens, from its open files and the kernel's table.
std::set<int> ListeningPorts(pid_t pid) {
  const std::filesystem::path process = fmt::format("/proc/{}", pid);
  std::set<std::string> inodes;
  for (const auto& entry : std::filesystem::directory_iterator(process / "fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone);
    if (target.rfind("socket:[", 0) == 0) inodes.insert(target.substr(8, target.size() - 9));
  }
  std::set<int> ports;
  for (const char* table : {"net/tcp", "net/tcp6"}) {
    std::ifstream file(process / table);
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
      // slot, local address:port, remote, state (0A: listening), queues, timer, retransmits, user, timeout,
      // inode
      std::istringstream words(line);
      std::vector<std::string> word{std::istream_iterator<std::string>(words), {}};
      if (word.at(3) != "0A" || inodes.count(word.at(9)) == 0) continue;
      ports.insert(std::stoi(word[1].substr(word[1].rfind(':') + 1), nullptr, 16));
    }
  }
  return ports;
}

// A group of gloo_rank processes.
class Group {
 public:
  enum class Meet { kFile, kTcp };

  Group(const std::string& mode, int size, double timeout, Meet meet = Meet::kFile)
      : mode_(mode), timeout_(std::to_string(timeout)), ranks_(size) {
    if (meet == Meet::kFile) {
      meet_ = {"file", directory_.path() / "rendezvous"};
    } else {
      meet_ = {"tcp", std::to_string(FreePort())};
    }
  }
  void Start(int rank) {
    ranks_[rank] = std::make_unique<ChildProcess>(
        std::vector<std::string>{SWARMSYNC_GLOO_RANK, mode_, std::to_string(rank), std::to_string(size()),
                                 timeout_, meet_.first, meet_.second});
  }
  Group& StartAll() {
    for (int rank = 0; rank < size(); ++rank) Start(rank);
    return *this;
  }

  int size() const { return static_cast<int>(ranks_.size()); }
  ChildProcess& operator[](int rank) { return *ranks_[rank]; }

  // Waits until every rank of mode `loop` has done its first collective.
  void WaitUntilReady() {
    for (int rank = 0; rank < size(); ++rank) EXPECT_EQ(ranks_[rank]->ReadLine(), "ready") << rank;
  }
  // Waits for the end of all ranks, which are well.
  void ExpectSuccess() {
    for (int rank = 0; rank < size(); ++rank) {
      EXPECT_EQ(ranks_[rank]->Wait(), 0) << "rank " << rank << ": " << ranks_[rank]->ReadAll();
    }
  }
  // Waits for the end of a rank that failed in communication. Its message.
  std::string ExpectCommError(int rank) {
    const int exit_code = ranks_[rank]->Wait();
    const std::string output = ranks_[rank]->ReadAll();
    EXPECT_EQ(exit_code, 4) << "rank " << rank << ": " << output;
    EXPECT_EQ(output.rfind("CommError: ", 0), 0u) << output;
    EXPECT_EQ(std::count(output.begin(), output.end(), '\n'), 1) << output;
    return output;
  }

 private:
  PrivateDirectory directory_;
  std::string mode_, timeout_;
  std::pair<std::string, std::string> meet_;
  std::vector<std::unique_ptr<ChildProcess>> ranks_;
};

class GlooTest : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, GlooTest, ::testing::Range(1, 9));

TEST_P(GlooTest, EveryCollectiveGivesItsResult) { Group("check", GetParam(), 60).StartAll().ExpectSuccess(); }
TEST_P(GlooTest, AndThroughSharedMemory) { Group("shared-check", GetParam(), 60).StartAll().ExpectSuccess(); }

class GlooTrafficTest : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, GlooTrafficTest, ::testing::Range(2, 6));

TEST_P(GlooTrafficTest, TheKernelSendsWhatTheLedgerSays) {
  Group("traffic", GetParam(), 60).StartAll().ExpectSuccess();
}

TEST(Gloo, ShowsWhomItWaitsFor) { Group("stall", 3, 60).StartAll().ExpectSuccess(); }
TEST(Gloo, ShowsWhomItWaitsForInSharedMemory) { Group("shared-stall", 3, 60).StartAll().ExpectSuccess(); }

TEST(Gloo, MeetsOverTcp) { Group("check", 3, 60, Group::Meet::kTcp).StartAll().ExpectSuccess(); }

class GlooFault : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(, GlooFault, ::testing::Values("loop", "shared-loop"),
                         [](const auto& info) { return testing::TestName(info.param); });

TEST_P(GlooFault, AKilledRankEndsTheOthersLongBeforeTheTimeout) {
  Group group(GetParam(), 3, /*timeout=*/200);
  group.StartAll().WaitUntilReady();
  const double begin = MonotonicSeconds();
  group[1].Signal(SIGKILL);
  for (const int rank : {0, 2}) {
    const std::string message = group.ExpectCommError(rank);
    EXPECT_NE(message.find(fmt::format("on rank {} of 3", rank)), std::string::npos) << message;
    if (std::string(GetParam()) == "shared-loop") {
      EXPECT_NE(message.find("rank 1 has died"), std::string::npos) << message;
    }
  }
  EXPECT_LT(MonotonicSeconds() - begin, 60);
  EXPECT_EQ(group[1].Wait(), 128 + SIGKILL);
}

TEST_P(GlooFault, AStoppedRankEndsTheOthersAfterTheTimeout) {
  Group group(GetParam(), 3, /*timeout=*/15);  // they must meet in time, too
  group.StartAll().WaitUntilReady();
  const double begin = MonotonicSeconds();
  group[1].Signal(SIGSTOP);
  for (const int rank : {0, 2}) group.ExpectCommError(rank);
  EXPECT_GT(MonotonicSeconds() - begin, 14);
  EXPECT_LT(MonotonicSeconds() - begin, 15 + 60);
}

TEST(GlooFaults, ARankThatNeverComesEndsTheRendezvousAfterTheTimeout) {
  const PrivateDirectory directory;
  const double begin = MonotonicSeconds();
  const std::string message = MessageOf<CommError>([&] {
    ConnectGloo({0, 2, FileRendezvous{directory.path() / "rendezvous"}, std::chrono::seconds(1), ""});
  });
  EXPECT_LT(MonotonicSeconds() - begin, 1 + 30);
  EXPECT_EQ(message.rfind(fmt::format("rank 0 of 2 could not meet the others at {} within 1 s: ",
                                      (directory.path() / "rendezvous").string()),
                          0),
            0u)
      << message;
  EXPECT_THAT(message, EndsWith("; rank 1 is missing"));
}

TEST(GlooFaults, ThoseWhoAreMissingAreNamed) {
  const int port = FreePort();
  const GlooOptions first{0, 4, TokenRendezvous{"127.0.0.1", port, ""}, std::chrono::seconds(4), ""};
  GlooOptions third = first;
  third.rank = 2;
  std::thread beside([&] { EXPECT_THROW(ConnectGloo(third), CommError); });
  const std::string message = MessageOf<CommError>([&] { ConnectGloo(first); });
  beside.join();
  EXPECT_THAT(message, EndsWith("not all ranks have come; ranks 1, 3 are missing"));
}

TEST(GlooFaults, AStoreThatIsNotThereEndsTheRendezvousAfterTheTimeout) {
  const double begin = MonotonicSeconds();
  const int port = FreePort();
  const std::string message = MessageOf<CommError>([&] {
    ConnectGloo({1, 2, TokenRendezvous{"127.0.0.1", port, ""}, std::chrono::seconds(1), ""});
  });
  EXPECT_LT(MonotonicSeconds() - begin, 1 + 30);
  EXPECT_NE(message.find(fmt::format("at 127.0.0.1:{} within 1 s", port)), std::string::npos) << message;
}

TEST(GlooFaults, APortThatIsTakenIsCalledTaken) {
  Socket other;
  const int port = other.Listen();
  const std::string message = MessageOf<CommError>([&] {
    ConnectGloo({0, 1, TokenRendezvous{"127.0.0.1", port, ""}, std::chrono::seconds(5), ""});
  });
  EXPECT_NE(message.find(fmt::format("127.0.0.1:{}", port)), std::string::npos) << message;
  EXPECT_NE(message.find("the port is taken"), std::string::npos) << message;
}

TEST(GlooFaults, AnInterfaceThatIsNotThereIsNamedBesideThoseThatAre) {
  const PrivateDirectory directory;
  const std::string message = MessageOf<UsageError>([&] {
    ConnectGloo({0, 1, FileRendezvous{directory.path() / "rendezvous"}, std::chrono::seconds(5), "nosuch0"});
  });
  EXPECT_NE(message.find("'nosuch0'"), std::string::npos) << message;
  EXPECT_NE(message.find("lo"), std::string::npos) << message;
}

TEST(GlooFaults, SeveralHostsNeedAnInterfaceAndAToken) {
  const auto message_of = [](const std::string& token, const std::string& interface) {
    return MessageOf<UsageError>([&] {
      ConnectGloo({0, 2, TokenRendezvous{"192.0.2.1", 29500, token}, std::chrono::seconds(1), interface});
    });
  };
  EXPECT_NE(message_of("0123456789abcdef", "").find("GLOO_SOCKET_IFNAME"), std::string::npos);
  EXPECT_NE(message_of("", "lo").find("SWARMSYNC_TOKEN has 0 characters"), std::string::npos);
  EXPECT_NE(message_of("short", "lo").find("at least 16"), std::string::npos);
}

TEST(Gloo, RefusesImpossibleRanks) {
  for (const auto& [rank, size] : std::vector<std::pair<int, int>>{{2, 2}, {-1, 2}, {0, 0}}) {
    GlooOptions options;
    options.rank = rank;
    options.size = size;
    EXPECT_EQ(MessageOf<UsageError>([&] { ConnectGloo(options); }),
              fmt::format("rank {} in a world of {}; it must be from 0 to {}", rank, size, size - 1));
  }
}

const std::vector<std::string> kGarbage = {
    std::string(),          std::string(1, '\0'),     std::string(8, '\0'),
    std::string(8, '\x01'), "GET / HTTP/1.1\r\n\r\n", std::string(100'000, '\xff')};

// Connects to every port on which the ranks listen, once for each garbage, and stays; and once more, and
// leaves.
std::vector<Socket> SendStrangers(Group& group) {
  std::vector<Socket> strangers;
  for (int rank = 0; rank < group.size(); ++rank) {
    for (const int port : ListeningPorts(group[rank].pid())) {
      for (const std::string& garbage : kGarbage) {
        strangers.emplace_back().Connect(port);
        strangers.back().Send(garbage);
        Socket leaves;
        leaves.Connect(port);
        leaves.Send(garbage);
      }
    }
  }
  return strangers;
}

class StrangerTest : public ::testing::TestWithParam<Group::Meet> {};
INSTANTIATE_TEST_SUITE_P(Rendezvous, StrangerTest, ::testing::Values(Group::Meet::kFile, Group::Meet::kTcp),
                         [](const auto& info) { return info.param == Group::Meet::kFile ? "File" : "Tcp"; });

TEST_P(StrangerTest, DisturbsNoCollective) {
  Group group("loop", 3, 60, GetParam());
  group.StartAll().WaitUntilReady();
  const std::vector<Socket> strangers = SendStrangers(group);
  EXPECT_EQ(strangers.empty(),
            GetParam() == Group::Meet::kFile);  // Gloo listens only until the ranks have met
  group[0].CloseInput();
  for (int rank = 0; rank < group.size(); ++rank) EXPECT_EQ(group[rank].ReadLine(), "done") << rank;
}

TEST_P(StrangerTest, KeepsNoRankFromEnding) {
  Group group("loop", 2, 60, GetParam());
  group.StartAll().WaitUntilReady();
  const std::vector<Socket> strangers = SendStrangers(group);
  group[0].CloseInput();
  group.ExpectSuccess();
}

// Of two ranks, the one with the greater address connects and the other accepts; Gloo takes whoever comes
// first for the rank that it waits for. If the stranger has found the one who accepts, nobody may go on as if
// the ranks had met; if not, nobody may notice the stranger. The kernel chooses the ports, so either happens.
TEST(Stranger, WhoComesInsteadOfARankIsIgnoredOrEndsInACommError) {
  for (const std::string& garbage : {kGarbage.front(), kGarbage.back()}) {
    Group group("loop", 2, /*timeout=*/5);
    group.Start(0);
    std::set<int> ports;
    const double begin = MonotonicSeconds();
    while (ports.empty() && MonotonicSeconds() - begin < 60) ports = ListeningPorts(group[0].pid());
    ASSERT_EQ(ports.size(), 1u);
    Socket stranger;
    stranger.Connect(*ports.begin());
    stranger.Send(garbage);
    group.Start(1);
    group[0].CloseInput();
    if (group[0].Wait() == 0) {
      group.ExpectSuccess();
    } else {
      group.ExpectCommError(0);
      group.ExpectCommError(1);
    }
  }
}

}  // namespace
}  // namespace swarmsync
