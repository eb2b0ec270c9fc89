#pragma once

#include <ATen/ATen.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "comm/collective_checks.h"
#include "comm/long_waits.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"

// What a rank that is a process does for a test. Modes:
//   check  checks every collective
//   loop   prints "ready" after the first collective and goes on until rank 0's standard input ends, then for
//          100 rounds more, and prints "done"
//   stall  the last rank is late; the others see that they wait for it; stall-unnamed: for somebody
namespace swarmsync::testing {

inline void Say(const std::string& line) { std::cout << line << std::endl; }

// Whether whoever started this process has closed our standard input.
inline bool InputEnded() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  return poll(&input, 1, 0) > 0;  // nobody writes to it
}

inline void Loop(Communicator& comm) {
  const at::Tensor tensor = at::empty({1009}, at::kDouble);
  int rounds_left = 100;
  bool ending = false;
  for (int round = 0; rounds_left > 0; ++round) {
    tensor.fill_(comm.rank() + round);
    comm.AllReduceSum(tensor);
    const double sum = comm.size() * (comm.size() - 1) / 2.0 + comm.size() * static_cast<double>(round);
    Require(tensor.eq(sum).all().item<bool>(), "all-reduce in round " + std::to_string(round));

    tensor.fill_(comm.rank() + round);
    comm.Broadcast(tensor, round % comm.size());
    Require(tensor.eq(round % comm.size() + round).all().item<bool>(),
            "broadcast in round " + std::to_string(round));

    if (round == 0) Say("ready");
    ending = ending || comm.AllGather(InputEnded() ? 1.0 : 0.0)[0] == 1.0;
    if (ending) --rounds_left;
  }
  Say("done");
}

// The last rank comes late; the others see meanwhile that they wait.
// awaited: whom they see themselves wait for.
inline void Stall(Communicator& comm, const std::vector<int>& awaited) {
  const int late = comm.size() - 1;
  comm.Barrier();
  if (comm.rank() == late) {
    std::this_thread::sleep_for(std::chrono::seconds(4));
    comm.Barrier();
    return;
  }
  std::vector<Wait> seen;
  std::thread watch([&] {
    for (const double end = MonotonicSeconds() + 3.5; seen.empty() && MonotonicSeconds() < end;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      seen = WaitsBegunBefore(MonotonicSeconds() - 0.5);
    }
  });
  comm.Barrier();
  watch.join();
  Require(seen.size() == 1 && seen[0].rank == comm.rank() && seen[0].awaited == awaited,
          "waits for the rank that is late");
  Require(WaitsBegunBefore(MonotonicSeconds() + 1).empty(), "waits no more");
}

inline void RunMode(const std::string& mode, Communicator& comm) {
  if (mode == "check") {
    CheckCollectives(comm);
  } else if (mode == "loop") {
    Loop(comm);
  } else if (mode == "stall") {
    Stall(comm, {comm.size() - 1});
  } else if (mode == "stall-unnamed") {
    Stall(comm, {});
  } else {
    throw std::runtime_error("no such mode: " + mode);
  }
}

// The whole program. Exit codes: 0 all is well; 4 CommError, whose text is printed; 1 anything else.
inline int RunRank(const std::function<void()>& run) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // no rank outlives its test
  try {
    run();
    return 0;
  } catch (const CommError& error) {
    std::cout << "CommError: " << error.what() << std::endl;
    return 4;
  } catch (const std::exception& error) {
    std::cout << error.what() << std::endl;
    return 1;
  }
}

}  // namespace swarmsync::testing
