#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <variant>

#include "swarmsync/comm/communicator.h"

namespace swarmsync {

// A file in a directory that only this user can read; for ranks on one host.
struct FileRendezvous {
  std::filesystem::path file;  // must not exist when the first rank comes
};
// A store that lets in who knows the job's token, and each rank once; rank 0 serves it, on the interface. On
// several hosts there must be a token.
struct TokenRendezvous {
  std::string host;   // of rank 0: a name or an address
  int port = 0;       // that rank 0 listens on, 1 to 65535
  std::string token;  // the same on all ranks; "" only on one host
};
// A c10d TCPStore that a launcher of PyTorch's serves. It trusts whoever connects.
struct TcpRendezvous {
  std::string host;    // of the store: a name or an address
  int port = 0;        // of the store, 1 to 65535
  std::string prefix;  // separates this group's keys from others in the same store
};

// Where the ranks of a group find each other.
using Rendezvous = std::variant<FileRendezvous, TokenRendezvous, TcpRendezvous>;

constexpr std::size_t kLeastTokenSize = 16;  // of the token of ranks on several hosts, in characters

// How a rank joins a group.
struct GlooOptions {
  int rank = 0;           // of this process, 0 to size - 1
  int size = 1;           // how many ranks there are
  Rendezvous rendezvous;  // the same on all ranks
  std::chrono::duration<double> timeout =
      std::chrono::seconds(60);  // for the rendezvous and every collective
  // Network interface to listen on. "" means loopback, and is for ranks on one host: those that meet in a
  // file or at a loopback address, and where `one_host` says so.
  std::string interface;
  // Whether all ranks are on one host, where the rendezvous does not show it.
  bool one_host = false;
};

// Joins a group through libtorch's c10d with Gloo. Its all-reduce, its broadcast of large tensors and its
// gathers are made of Gloo's messages between two ranks: each rank adds up a part of the tensor for all, and
// a broadcast goes along a chain, both in pieces of up to 4 MiB. Tensors on a GPU, which each rank then needs
// one of its own of, travel by NCCL, where libtorch has it; their group is made when the first comes.
// Collective. Throws UsageError where several hosts have no token or no interface, CommError when the others
// do not come within the timeout, a port is taken, …
std::unique_ptr<Communicator> ConnectGloo(const GlooOptions& options);

// Whether this build has NCCL. Pure.
bool NcclIsBuiltIn();

}  // namespace swarmsync
