#include "launch/meeting_place.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

#include "base/digest.h"
#include "launch/slurm.h"
#include "launch/variables.h"
#include "swarmsync/base/error.h"
#include "swarmsync/launch/supervisor.h"

namespace swarmsync {
namespace {

namespace fs = std::filesystem;

// A file name for what may have any character in it.
std::string Digest(const std::string& text) { return Sha256Hex(text.data(), text.size()).substr(0, 32); }

// Hydra, MPICH's launcher, says nothing by which its ranks could name their job. But all of a host are
// connected to one process of it, which is no other job's: its id, and when it began, for ids come again.
std::optional<std::string> JobOfHydra(const EnvironmentLookup& lookup) {
  const auto fd = lookup("PMI_FD");
  if (!fd) return std::nullopt;
  ucred launcher{};
  socklen_t size = sizeof launcher;
  constexpr int kMost = std::numeric_limits<int>::max();
  if (getsockopt(ParseInteger("PMI_FD", *fd, 0, kMost), SOL_SOCKET, SO_PEERCRED, &launcher, &size) != 0)
    return std::nullopt;
  if (launcher.pid <= 0) return std::nullopt;
  // "pid (name) state …": the name may have anything in it; when the process began is the 20th word behind
  // it.
  std::string text;
  std::getline(std::ifstream(fmt::format("/proc/{}/stat", launcher.pid)), text);
  std::size_t at = text.rfind(')');
  for (int word = 0; word < 20 && at != std::string::npos; ++word) at = text.find(' ', at + 1);
  if (at == std::string::npos) return std::nullopt;
  return fmt::format("mpich-{}-{}", launcher.pid, text.substr(at + 1, text.find(' ', at + 1) - at - 1));
}

std::optional<std::string> JobOfOpenMpi(const EnvironmentLookup& lookup) {
  const auto name = lookup("PMIX_NAMESPACE");
  if (!name) return std::nullopt;
  // Open MPI 4 makes its names of numbers that may come again; its server's directory has its process in it.
  return "openmpi-" + Digest(*name + '\n' + lookup("PMIX_SERVER_TMPDIR").value_or(""));
}

std::optional<std::string> JobOfSlurm(const EnvironmentLookup& lookup) {
  const auto job = lookup("SLURM_JOB_ID"), step = lookup("SLURM_STEP_ID");
  if (!job || !step) return std::nullopt;
  return "slurm-" + Digest(fmt::format("{}\n{}\n{}\n{}", lookup("SLURM_CLUSTER_NAME").value_or(""), *job,
                                       *step, lookup("SLURM_RESTART_COUNT").value_or("0")));
}

std::optional<std::string> JobOf(const LaunchedRank& launched, const EnvironmentLookup& lookup) {
  switch (launched.launcher) {
    case Launcher::kTorchrun:
      return std::nullopt;
    case Launcher::kMpich:
      return JobOfHydra(lookup);
    case Launcher::kOpenMpi:
      return JobOfOpenMpi(lookup);
    case Launcher::kSlurm:
      return JobOfSlurm(lookup);
  }
  return std::nullopt;
}

// A directory that only this user can read, the same for all processes of this user.
fs::path DirectoryOfUser() {
  std::error_code none;
  const fs::path parent = fs::temp_directory_path(none);
  const fs::path path = (none ? fs::path("/tmp") : parent) / fmt::format("swarmsync-user-{}", geteuid());
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    throw UsageError(
        fmt::format("the ranks cannot meet in {}: {}; set TMPDIR to a writable place, or "
                    "MASTER_ADDR and MASTER_PORT",
                    path.string(), std::strerror(errno)));
  }
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0 || !S_ISDIR(found.st_mode) || found.st_uid != geteuid() ||
      (found.st_mode & 077) != 0) {
    throw UsageError(
        fmt::format("the ranks do not meet in {}: it is not a directory that only this user can read; remove "
                    "it, or set TMPDIR to another place",
                    path.string()));
  }
  return path;
}

std::optional<Rendezvous> OnFirstHost(const EnvironmentLookup& lookup) {
  const auto nodes = lookup("SLURM_STEP_NODELIST");
  const auto job = lookup("SLURM_JOB_ID"), step = lookup("SLURM_STEP_ID");
  if (!nodes || nodes->empty() || !job || !step) return std::nullopt;
  constexpr int kMost = std::numeric_limits<int>::max();
  const int port = PortOfStep(static_cast<std::uint64_t>(ParseInteger("SLURM_JOB_ID", *job, 0, kMost)),
                              static_cast<std::uint64_t>(ParseInteger("SLURM_STEP_ID", *step, 0, kMost)));
  return TokenRendezvous{FirstHostOf(*nodes), port, lookup(kTokenVariable).value_or("")};
}

Rendezvous AtMaster(const EnvironmentLookup& lookup) {
  const std::string host = *lookup("MASTER_ADDR");
  const int port = ParseInteger("MASTER_PORT", *lookup("MASTER_PORT"), 1, 65535);
  if (lookup("TORCHELASTIC_USE_AGENT_STORE") != "True")
    return TokenRendezvous{host, port, lookup(kTokenVariable).value_or("")};
  // A store that outlives a restart must not show the ranks of before.
  return TcpRendezvous{host, port, "swarmsync/" + lookup("TORCHELASTIC_RESTART_COUNT").value_or("0")};
}

}  // namespace

Rendezvous MeetingPlaceOf(const LaunchedRank& launched, const EnvironmentLookup& lookup) {
  if (const auto store = lookup(kStoreVariable)) return FileRendezvous{*store};
  const bool has_host = lookup("MASTER_ADDR").has_value(), has_port = lookup("MASTER_PORT").has_value();
  if (has_host && has_port) return AtMaster(lookup);
  if (!has_host && !has_port && launched.all_here()) {
    if (const auto job = JobOf(launched, lookup)) return FileRendezvous{DirectoryOfUser() / *job};
  }
  if (!has_host && !has_port && launched.launcher == Launcher::kSlurm) {
    if (const auto place = OnFirstHost(lookup)) return *place;
  }
  throw UsageError(
      fmt::format("{} is set, so this process is rank {} of {}, and MASTER_ADDR and MASTER_PORT do not "
                  "say where the ranks meet; set both, the same for all ranks",
                  launched.variable, launched.rank, launched.size));
}

}  // namespace swarmsync
