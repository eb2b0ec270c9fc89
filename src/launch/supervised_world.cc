#include "swarmsync/launch/supervised_world.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/comm/gloo.h"
#include "swarmsync/comm/shared_memory.h"
#include "swarmsync/comm/thread_world.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

std::filesystem::path GenerationIn(const std::filesystem::path& directory) {
  return directory / "world.json";
}
// Is there while a change is due, so that looking for it is one system call.
std::filesystem::path DueIn(const std::filesystem::path& directory, int generation) {
  return directory / fmt::format("leave-{}", generation);
}

std::filesystem::path HereIn(const std::filesystem::path& directory, int generation, int worker) {
  return directory / fmt::format("here-{}-{}", generation, worker);
}

Generation ReadGeneration(const std::filesystem::path& directory) {
  const Json json = Json::parse(ReadFile(GenerationIn(directory)));
  return {json.at("generation"), json.at("members"), json.at("reason"), json.at("last")};
}

constexpr useconds_t kLookMicroseconds = 2000;

}  // namespace

void WriteGeneration(const std::filesystem::path& directory, const Generation& generation) {
  WriteFileAtomically(GenerationIn(directory), Json({{"generation", generation.number},
                                                     {"members", generation.members},
                                                     {"reason", generation.reason},
                                                     {"last", generation.last}})
                                                   .dump());
}

void CallForLeaving(const std::filesystem::path& directory, int generation) {
  WriteFileAtomically(DueIn(directory, generation), "");
}

SupervisedWorld::SupervisedWorld(std::filesystem::path directory, int worker, bool joins,
                                 std::chrono::duration<double> timeout, Ask ask)
    : directory_(std::move(directory)),
      worker_(worker),
      joins_(joins),
      timeout_(timeout),
      ask_(std::move(ask)) {}

bool SupervisedWorld::ChangeIsDue() const {
  struct stat ignored;
  return stat(DueIn(directory_, generation_.number).c_str(), &ignored) == 0;
}

// The supervisor answers within its patience, or ends this process, or has ended, and this process with it.
Generation SupervisedWorld::Await() const {
  const double deadline = MonotonicSeconds() + 3 * timeout_.count() + 30;
  while (MonotonicSeconds() < deadline) {
    const Generation now = ReadGeneration(directory_);
    const bool member = std::binary_search(now.members.begin(), now.members.end(), worker_);
    if (now.number > generation_.number && member) return now;
    if (now.number > generation_.number && !joins_) {
      throw Error(ExitCode::kCommunication,
                  fmt::format("worker {} is not in generation {} of the run ({}); it was expelled", worker_,
                              now.number, now.reason));
    }
    usleep(kLookMicroseconds);
  }
  throw Error(ExitCode::kCommunication, fmt::format("worker {} heard nothing from its supervisor", worker_));
}

// Waits until all members are there, so that nobody sits in a rendezvous with one that is lost on the way to
// it.
void SupervisedWorld::AwaitMembers() const {
  WriteFileAtomically(HereIn(directory_, generation_.number, worker_), "");
  const double deadline = MonotonicSeconds() + timeout_.count();
  for (const int member : generation_.members) {
    while (!std::filesystem::exists(HereIn(directory_, generation_.number, member))) {
      if (ChangeIsDue()) throw CommError("another worker was lost");
      if (MonotonicSeconds() > deadline)
        throw CommError(fmt::format("worker {} did not come within {:g} s", member, timeout_.count()));
      usleep(kLookMicroseconds);
    }
  }
}

std::unique_ptr<Communicator> SupervisedWorld::Meet() const {
  AwaitMembers();
  const auto& members = generation_.members;
  const auto rank = static_cast<int>(std::find(members.begin(), members.end(), worker_) - members.begin());
  if (members.size() == 1) return ThreadWorld(1, timeout_).Connect(0);
  GlooOptions gloo;
  gloo.rank = rank;
  gloo.size = static_cast<int>(members.size());
  gloo.timeout = timeout_;
  gloo.rendezvous = FileRendezvous{directory_ / fmt::format("store-{}", generation_.number)};
  return ThroughSharedMemory(ConnectGloo(gloo), timeout_);
}

std::unique_ptr<Communicator> SupervisedWorld::Next(const std::string& why) {
  std::string reason = why;
  while (true) {
    // Those that the run began with are in its first generation.
    if (generation_.number > 0 || joins_) ask_(generation_.number, reason);
    generation_ = Await();
    joins_ = false;
    try {
      return Meet();
    } catch (const CommError& error) {
      reason = error.what();
    }
  }
}

}  // namespace swarmsync
