#include "swarmsync/cli/command_line.h"
#ifdef SWARMSYNC_MPI
#include "swarmsync/comm/mpi.h"
#endif

int main(int argc, char** argv) {
  swarmsync::Connector mpi;
#ifdef SWARMSYNC_MPI
  mpi = [](std::chrono::duration<double> timeout) { return swarmsync::ConnectMpi(timeout); };
#endif
  return swarmsync::RunCommandLine(argc, argv, swarmsync::ModelRegistry::WithBuiltIn(), mpi);
}
