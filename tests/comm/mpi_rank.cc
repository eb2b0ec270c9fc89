// One rank of a group of MPI, which mpi_test starts through mpirun:  mpi_rank MODE TIMEOUT
// Modes, besides those of rank_modes.h:
//   freeze  rank 1 stops for ever behind the first collective

#include "comm/rank_modes.h"
#include "swarmsync/comm/mpi.h"

namespace swarmsync::testing {
namespace {

void Freeze(Communicator& comm) {
  comm.Barrier();
  if (comm.rank() == 1) raise(SIGSTOP);
  comm.Barrier();
}

void Run(const std::string& mode, double timeout) {
  const auto comm = ConnectMpi(std::chrono::duration<double>(timeout));
  if (mode == "freeze") {
    Freeze(*comm);
  } else {
    RunMode(mode, *comm);
  }
}

}  // namespace
}  // namespace swarmsync::testing

// Read by AddressSanitizer where it is built in: Open MPI gives back less than it takes.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

int main(int, char** argv) {
  return swarmsync::testing::RunRank([&] { swarmsync::testing::Run(argv[1], std::stod(argv[2])); });
}
