// What happens to running trainings: workers that die or stop where all are needed, signals, strangers.

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <optional>
#include <set>

#include "cli/tool.h"
#include "support/child_process.h"

namespace swarmsync::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class FaultsTest : public ToolTest {
 protected:
  std::string Log(const std::string& out, int rank) const {
    return Path(out) / "logs" / fmt::format("worker-{}.log", rank);
  }

  void ExpectNoResults(const std::string& out) const {
    EXPECT_EQ(StrangeFiles(out).size(), 0u);
    EXPECT_FALSE(fs::exists(Path(out) / "summary.json"));
    EXPECT_FALSE(fs::exists(Path(out) / "model.safetensors"));
    ExpectNothingTemporaryLeft();
  }
};

TEST_F(FaultsTest, AKilledWorkerEndsTheRunAndIsNamed) {
  for (const int victim : {2, 0}) {
    const std::string out = fmt::format("run{}", victim);
    Tool tool(TrainForLong(out, {"--workers=3", "--min-workers=3", "--timeout=30"}), Environment());
    const std::vector<pid_t> pids = AwaitWorkers(tool, out);
    ASSERT_EQ(pids.size(), 3u);
    const double killed = MonotonicSeconds();
    kill(pids[static_cast<std::size_t>(victim)], SIGKILL);
    const ToolResult& result = tool.Wait();
    ExpectAllGone(pids);
    ExpectOneLine(result, 4,
                  {fmt::format("worker {} (pid {})", victim, pids[static_cast<std::size_t>(victim)]),
                   "signal 9", "Killed", Log(out, victim)});
    EXPECT_LT(result.ended - killed, 5);
    ExpectNoResults(out);
  }
}

TEST_F(FaultsTest, AStoppedWorkerEndsTheRunAfterTheTimeoutAndIsNamed) {
  for (const int victim : {1, 0}) {
    const std::string out = fmt::format("run{}", victim);
    Tool tool(TrainForLong(out, {"--workers=3", "--min-workers=3", "--timeout=2"}), Environment());
    const std::vector<pid_t> pids = AwaitWorkers(tool, out);
    ASSERT_EQ(pids.size(), 3u);
    const double stopped = MonotonicSeconds();
    kill(pids[static_cast<std::size_t>(victim)], SIGSTOP);
    const ToolResult& result = tool.Wait();
    ExpectAllGone(pids);
    ExpectOneLine(result, 4,
                  {fmt::format("worker {} (pid {})", victim, pids[static_cast<std::size_t>(victim)]),
                   "stopped", Log(out, victim)});
    EXPECT_GT(result.ended - stopped, 1);
    EXPECT_LT(result.ended - stopped, 8);
    ExpectNoResults(out);
  }
}

TEST_F(FaultsTest, AWorkersOwnFailureIsTold) {
  Tool tool(TrainForLong("run", {"--workers=2", "--min-workers=2"}), Environment());
  const std::vector<pid_t> pids = AwaitWorkers(tool, "run");
  ASSERT_EQ(pids.size(), 2u);
  kill(pids[1], SIGSEGV);
  const ToolResult& result = tool.Wait();
  ExpectAllGone(pids);
  ExpectOneLine(result, 4, {fmt::format("worker 1 (pid {})", pids[1]), "signal 11", Log("run", 1)});
}

// As on a full disk, but that it is full for files of some size only.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limited{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limited);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  sighandler_t handler_;
  rlimit before_{};
};

TEST_F(FaultsTest, RecordsThatCannotBeWrittenEndTheRunInALine) {
  for (const char* backend : {"--backend=processes", "--backend=threads"}) {
    std::optional<Tool> tool;
    {
      const FileSizeLimit limit(20'000);
      tool.emplace(TrainForLong("run", {"--log-every=1", "--overwrite", backend}), Environment());
    }
    ExpectOneLine(tool->Wait(), 1, {"cannot write", Path("run/"), "disk"});
    ExpectNoResults("run");
  }
}

TEST_F(FaultsTest, AnErrorOutputThatIsFullEndsNothing) {
  std::string command = SWARMSYNC_TOOL;
  for (const std::string& argument : Train("run", {"--progress=plain"})) command += " '" + argument + "'";
  ChildProcess shell({"/bin/sh", "-c", command + " 2>/dev/full"});
  EXPECT_EQ(shell.Wait(), 0);
  EXPECT_TRUE(fs::exists(Path("run/summary.json")));
}

TEST_F(FaultsTest, SignalsStopTheRunWithinTwoSeconds) {
  for (const char* backend : {"processes", "threads"}) {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
      const std::string out = fmt::format("{}{}", backend, signal);
      SCOPED_TRACE(out);
      Tool tool(TrainForLong(out, {"--workers=3", std::string("--backend=") + backend}), Environment());
      const std::vector<pid_t> pids = AwaitWorkers(tool, out);
      ASSERT_EQ(pids.size(), 3u);
      const double sent = MonotonicSeconds();
      tool.Signal(signal);
      const ToolResult& result = tool.Wait();
      ExpectAllGone(pids);
      ExpectOneLine(result, 128 + signal, {fmt::format("signal {}", signal)});
      EXPECT_LT(result.ended - sent, 2);
      ExpectNoResults(out);
    }
  }
}

TEST_F(FaultsTest, CtrlCStopsARunWhoseWorkersAreStopped) {
  Tool tool(TrainForLong("run", {"--workers=2", "--timeout=60"}), Environment());
  const std::vector<pid_t> pids = AwaitWorkers(tool, "run");
  ASSERT_EQ(pids.size(), 2u);
  for (const pid_t pid : pids) kill(pid, SIGSTOP);
  const double sent = MonotonicSeconds();
  tool.Signal(SIGINT);
  const ToolResult& result = tool.Wait();
  ExpectAllGone(pids);
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_LT(result.ended - sent, 2);
}

TEST_F(FaultsTest, CtrlCStopsARunThatIsStillStarting) {
  // At moments of the start: before the workers, between fork and rendezvous, after it.
  for (const int milliseconds : {100, 400, 700, 1000}) {
    SCOPED_TRACE(milliseconds);
    const std::string out = fmt::format("run{}", milliseconds);
    Tool tool(TrainForLong(out, {"--workers=3"}), Environment());
    const double when = MonotonicSeconds() + milliseconds / 1000.0;
    WaitUntil([&] { return MonotonicSeconds() > when; });
    const double sent = MonotonicSeconds();
    tool.Signal(SIGINT);
    const ToolResult& result = tool.Wait();
    EXPECT_TRUE(result.exit_code == 130 || result.signal == SIGINT) << result.exit_code << ": " << result.err;
    EXPECT_LT(result.ended - sent, 2);
    std::error_code none;
    if (fs::exists(Path(out), none)) {
      EXPECT_EQ(StrangeFiles(out).size(), 0u);
    }
  }
}

TEST_F(FaultsTest, NoWorkerOutlivesAToolThatIsKilled) {
  Tool tool(TrainForLong("run", {"--workers=3"}), Environment());
  const std::vector<pid_t> pids = AwaitWorkers(tool, "run");
  ASSERT_EQ(pids.size(), 3u);
  tool.Signal(SIGKILL);
  EXPECT_EQ(tool.Wait().signal, SIGKILL);
  ExpectAllGone(pids, 5);
}

// The inodes of a process's sockets.
std::set<unsigned long> SocketsOf(pid_t pid) {
  std::set<unsigned long> inodes;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(fmt::format("/proc/{}/fd", pid), error)) {
    const std::string target = fs::read_symlink(entry.path(), error).string();
    unsigned long inode = 0;
    if (std::sscanf(target.c_str(), "socket:[%lu]", &inode) == 1) inodes.insert(inode);
  }
  return inodes;
}

// The TCP ports that a process listens on. Expects that all are on loopback addresses, as those of local runs
// must be.
std::set<int> PortsOf(pid_t pid) {
  constexpr unsigned kListen = 0x0A;
  std::set<int> ports;
  const std::set<unsigned long> sockets = SocketsOf(pid);
  for (const char* table : {"tcp", "tcp6"}) {
    std::istringstream file(ReadProcFile(fmt::format("/proc/{}/net/{}", pid, table)));
    std::string line;
    std::getline(file, line);  // names of the columns
    while (std::getline(file, line)) {
      char address[64];
      unsigned port = 0, state = 0;
      unsigned long inode = 0;
      if (std::sscanf(line.c_str(), "%*d: %63[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*s %*s %lu", address,
                      &port, &state, &inode) != 4) {
        continue;
      }
      if (state != kListen || sockets.count(inode) == 0) continue;
      EXPECT_EQ(std::string(address).substr(6), "7F") << "127.x.y.z, low byte first";
      ports.insert(static_cast<int>(port));
    }
  }
  return ports;
}

std::vector<pid_t> ChildrenOf(pid_t parent) {
  std::vector<pid_t> children;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string text = ReadProcFile("/proc/" + name + "/stat");
    const std::size_t end_of_name = text.rfind(')');
    int ppid = 0;
    if (end_of_name == std::string::npos) continue;
    if (std::sscanf(text.c_str() + end_of_name + 1, " %*c %d", &ppid) == 1 && ppid == parent) {
      children.push_back(std::stoi(name));
    }
  }
  return children;
}

// Connections to a run's workers of somebody who does not belong there. They are held to the end.
class Stranger {
 public:
  ~Stranger() {
    for (const int fd : connections_) close(fd);
  }

  // A new connection that sends some garbage, of another kind each time.
  void Visit(int port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);  // at once, or refused, on loopback
    const std::vector<std::string> garbage{"", "GET / HTTP/1.1\r\nHost: stranger\r\n\r\n", "abc",
                                           std::string(100'000, '\xff'), std::string(8, '\0')};
    const std::string& bytes = garbage[connections_.size() % garbage.size()];
    if (send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0) ++heard_;
    connections_.push_back(fd);
  }
  int heard() const { return heard_; }

 private:
  std::vector<int> connections_;
  int heard_ = 0;
};

TEST_F(FaultsTest, PortsOfFindsAListeningSocket) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  EXPECT_EQ(PortsOf(getpid()).count(ntohs(address.sin_port)), 1u);
  close(fd);
}

TEST_F(FaultsTest, AStrangerOnAPortDisturbsNothing) {
  const auto arguments = [&](const std::string& out) {
    Arguments all = TrainForLong(out, {"--workers=3", "--timeout=10", "--model=lenet5", "--seed=9"});
    std::replace(all.begin(), all.end(), std::string("--steps=1000000"), std::string("--steps=300"));
    return all;
  };
  Tool tool(arguments("run"), Environment());
  std::vector<pid_t> pids = AwaitWorkers(tool, "run");
  ASSERT_EQ(pids.size(), 3u);
  pids.push_back(tool.pid());
  Stranger stranger;
  for (const pid_t pid : pids) {
    for (const int port : PortsOf(pid)) {
      for (int visit = 0; visit < 5; ++visit) stranger.Visit(port);
    }
  }
  ASSERT_TRUE(tool.running()) << "it ended too early to be disturbed";
  EXPECT_EQ(tool.Wait().exit_code, 0) << tool.Wait().err;
  RunWell(arguments("undisturbed"));
  EXPECT_TRUE(ReadFile(Path("run/model.safetensors")) == ReadFile(Path("undisturbed/model.safetensors")));
}

// Gloo's pairs listen for the moment in which they connect, and take the first who comes for their peer. A
// stranger who comes in that moment may cost the run, never hang it, and nothing may be left.
TEST_F(FaultsTest, AStrangerWhileTheWorkersMeetHangsNothing) {
  Arguments arguments = Train("run", {"--workers=3", "--timeout=5"});
  Tool tool(arguments, Environment());
  Stranger stranger;
  std::set<pid_t> pids;
  std::map<int, int> visits;
  const double began = MonotonicSeconds();
  while (tool.running() && MonotonicSeconds() < began + kPatience) {
    if (pids.size() < 3) {
      for (const pid_t pid : ChildrenOf(tool.pid())) pids.insert(pid);
    }
    for (const pid_t pid : pids) {
      for (const int port : PortsOf(pid)) {
        if (++visits[port] <= 5) stranger.Visit(port);
      }
    }
  }
  const ToolResult& result = tool.Wait(1);
  ExpectAllGone({pids.begin(), pids.end()});
  ExpectNothingTemporaryLeft();
  if (result.exit_code != 0) {
    ExpectOneLine(result, 4, {"worker", "its log is"});
    EXPECT_LT(result.seconds, 30);
  }
}

}  // namespace
}  // namespace swarmsync::testing
