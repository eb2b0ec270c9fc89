#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <variant>

#include "swarmsync/comm/communicator.h"

namespace swarmsync {

// Where the ranks of a group find each other.
struct FileRendezvous {        // a file in a directory that only this user can read; for one host
  std::filesystem::path file;  // must not exist when the first rank comes
};
struct TcpRendezvous {  // a c10d TCPStore, as PyTorch's launchers use it
  std::string host;
  int port = 0;
  bool host_here = false;  // this process serves the store
  std::string prefix;      // separates this group's keys from others in the same store
};

struct GlooOptions {
  int rank = 0;
  int size = 1;
  std::variant<FileRendezvous, TcpRendezvous> rendezvous;
  std::chrono::duration<double> timeout =
      std::chrono::seconds(60);  // for the rendezvous and every collective
  std::string interface;  // network interface to listen on; "": loopback for a file or a loopback host,
                          // else the one that this host's name resolves to
};

// Joins a group through libtorch's c10d with Gloo. Its all-reduce, its broadcast of large tensors and its
// gathers are made of Gloo's messages between two ranks: each rank adds up a part of the tensor for all, and
// a broadcast goes along a chain, both in pieces of up to 4 MiB. Tensors on a GPU, which each rank then needs
// one of its own of, travel by NCCL, where libtorch has it; their group is made when the first comes.
// Collective. Throws CommError when the others do not come within the timeout, a port is taken, …
std::unique_ptr<Communicator> ConnectGloo(const GlooOptions& options);

// Whether this build has NCCL. Pure.
bool NcclIsBuiltIn();

}  // namespace swarmsync
