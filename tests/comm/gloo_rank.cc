// One rank of a Gloo group, started by gloo_test:
//   gloo_rank MODE RANK SIZE TIMEOUT file PATH
//   gloo_rank MODE RANK SIZE TIMEOUT tcp PORT         on 127.0.0.1; rank 0 serves the store
// Modes, besides those of rank_modes.h:
//   traffic  compares what CountingCommunicator charges with what the kernel counted
//   shared-check, …  the same through memory that the ranks share

#include <ATen/ATen.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "comm/collective_checks.h"
#include "comm/rank_modes.h"
#include "swarmsync/comm/counting_communicator.h"
#include "swarmsync/comm/gloo.h"
#include "swarmsync/comm/shared_memory.h"

namespace swarmsync::testing {
namespace {

// What the kernel has sent for this process on all of its TCP connections.
double TcpBytesSent() {
  double sum = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename());
    tcp_info info = {};
    socklen_t size = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) continue;
    Require(size >= offsetof(tcp_info, tcpi_bytes_retrans) + sizeof info.tcpi_bytes_retrans,
            "a kernel without counters");
    // What was sent again, because a busy machine was late to acknowledge it, is not the algorithm's.
    sum += static_cast<double>(info.tcpi_bytes_sent - info.tcpi_bytes_retrans);
  }
  return sum;
}

// A barrier makes sure that the last bytes have arrived before they are counted; its own are few.
void CheckTraffic(Communicator& comm, const std::string& what,
                  const std::function<void(Communicator&)>& run) {
  comm.Barrier();
  const double before = TcpBytesSent();
  CountingCommunicator counting(comm);
  run(counting);
  comm.Barrier();
  const double sent = TcpBytesSent() - before;

  const std::vector<double> by_rank = comm.AllGather(sent);
  double measured = 0;
  for (const double bytes : by_rank) measured += bytes / comm.size();
  const double charged = static_cast<double>(counting.traffic().bytes_all_ranks) / comm.size();
  const std::string line = what + ": the kernel sent " + std::to_string(measured) +
                           " bytes a rank, the ledger says " + std::to_string(charged);
  Say(line);
  Require(std::abs(measured - charged) <= 0.02 * charged, line);
}

void Traffic(Communicator& comm) {
  const std::int64_t length = 300'007;  // 1.2 MB
  CheckTraffic(comm, "all-reduce", [&](Communicator& counting) {
    for (int i = 0; i < 3; ++i) counting.AllReduceSum(at::ones({length}));
  });
  CheckTraffic(comm, "broadcast", [&](Communicator& counting) {
    for (int root = 0; root < comm.size(); ++root) counting.Broadcast(at::ones({length}), root);
  });
  CheckTraffic(comm, "all-gather",
               [&](Communicator& counting) { counting.AllGather(std::vector<double>(length / 2)); });
}

void Run(const std::vector<std::string>& arguments) {
  GlooOptions options;
  options.rank = std::stoi(arguments.at(2));
  options.size = std::stoi(arguments.at(3));
  options.timeout = std::chrono::duration<double>(std::stod(arguments.at(4)));
  if (arguments.at(5) == "file") {
    options.rendezvous = FileRendezvous{arguments.at(6)};
  } else {
    options.rendezvous = TokenRendezvous{"127.0.0.1", std::stoi(arguments.at(6)), "the token of this test"};
  }
  std::unique_ptr<Communicator> comm = ConnectGloo(options);
  const std::string shared = "shared-";
  const bool shares = arguments.at(1).rfind(shared, 0) == 0;
  if (shares) {
    const Communicator* const gloo = comm.get();
    comm = ThroughSharedMemory(std::move(comm), options.timeout);
    Require(options.size == 1 || comm.get() != gloo, "no memory is shared");
  }
  const std::string mode = arguments.at(1).substr(shares ? shared.size() : 0);
  Require(comm->rank() == options.rank && comm->size() == options.size, "rank and size");
  if (mode == "traffic") {
    Traffic(*comm);
  } else {
    RunMode(mode, *comm);
  }
}

}  // namespace
}  // namespace swarmsync::testing

int main(int argc, char** argv) {
  return swarmsync::testing::RunRank([&] { swarmsync::testing::Run({argv, argv + argc}); });
}
