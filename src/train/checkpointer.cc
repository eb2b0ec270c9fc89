#include "train/checkpointer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <sstream>
#include <utility>

#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

constexpr std::size_t kKept = 2;
constexpr const char* kFormatKey = "format";

// The first that has something to say, with its rank; "" when nobody has. Collective.
std::string FirstComplaint(const std::string& mine, Communicator& comm) {
  const std::vector<std::string> all = comm.AllGather(mine);
  const auto first =
      std::find_if(all.begin(), all.end(), [](const std::string& text) { return !text.empty(); });
  return first == all.end() ? "" : fmt::format("worker {}: {}", first - all.begin(), *first);
}

// Waits until all have written, however long one's disk takes: the others ask again and again, so that none
// waits for it in a collective for as long as the timeout. Collective.
void AwaitAll(const std::future<std::string>& writing, Communicator& comm) {
  constexpr std::chrono::milliseconds kLook(50);
  std::vector<double> written;
  do {
    written = comm.AllGather(writing.wait_for(kLook) == std::future_status::ready ? 1.0 : 0.0);
  } while (std::count(written.begin(), written.end(), 1.0) < comm.size());
}

// What rank 0 sees, the newest first: a directory of a network may look otherwise elsewhere. Collective.
std::vector<CheckpointDirectory::Checkpoint> Candidates(const CheckpointDirectory& directory,
                                                        Communicator& comm) {
  std::string text;
  if (comm.rank() == 0) {
    for (const auto& [round, size] : directory.Complete()) text += fmt::format("{} {} ", round, size);
  }
  std::istringstream numbers(comm.AllGather(text)[0]);
  std::vector<CheckpointDirectory::Checkpoint> candidates;
  for (CheckpointDirectory::Checkpoint next; numbers >> next.round >> next.world_size;)
    candidates.push_back(next);
  return candidates;
}

}  // namespace

Checkpointer::Checkpointer(CheckpointDirectory directory, Communicator& comm,
                           std::map<std::string, std::string> metadata, OnFailure on_failure)
    : directory_(std::move(directory)),
      comm_(comm),
      metadata_(std::move(metadata)),
      on_failure_(std::move(on_failure)) {
  metadata_[kFormatKey] = kCheckpointFormat;
  for (const auto& checkpoint : directory_.Complete()) complete_.insert(complete_.begin(), checkpoint.round);
}

Checkpointer::~Checkpointer() {
  if (writing_.valid()) writing_.wait();
}

void Checkpointer::Save(std::int64_t round, std::int64_t step, NamedTensors state) {
  Finish();
  writing_round_ = round;
  metadata_[kStepKey] = std::to_string(step);
  writing_step_ = step;
  const CheckpointDirectory::Checkpoint checkpoint{round, comm_.size()};
  writing_ = std::async(std::launch::async, [this, checkpoint, rank = comm_.rank(),
                                             part = WeightsFile{std::move(state), metadata_}] {
    try {
      directory_.Save(checkpoint, rank, part);
    } catch (const std::exception& error) {
      return std::string(error.what());
    }
    return std::string();
  });
}

void Checkpointer::Finish() {
  if (!writing_.valid()) return;
  AwaitAll(writing_, comm_);
  const std::string failure = FirstComplaint(writing_.get(), comm_);
  if (failure.empty()) {
    complete_.push_back(writing_round_);
    if (complete_.size() > kKept) complete_.erase(complete_.begin(), complete_.end() - kKept);
  }
  // Others may have begun with the next one.
  if (comm_.rank() == 0) directory_.KeepOnly(complete_, writing_round_);
  if (!failure.empty()) on_failure_(writing_step_, failure);
}

FoundCheckpoint FindNewest(const CheckpointDirectory& directory, Communicator& comm) {
  FoundCheckpoint found;
  for (const CheckpointDirectory::Checkpoint& candidate : Candidates(directory, comm)) {
    if (found.checkpoint.round > 0) break;
    std::string wrong;
    try {
      found.part = directory.Load(candidate, comm.rank() % candidate.world_size);
      const std::string& format = found.part.metadata[kFormatKey];
      if (format != kCheckpointFormat) {
        throw UsageError(
            fmt::format("{} has the format '{}', and this version reads '{}'; go on with "
                        "the version that wrote it",
                        directory.PathOf(candidate.round).string(), format, kCheckpointFormat));
      }
    } catch (const DataError& error) {
      wrong = error.what();
    }
    wrong = FirstComplaint(wrong, comm);
    if (wrong.empty()) {
      found.checkpoint = candidate;
    } else {
      found.damaged.push_back(
          fmt::format("the checkpoint of round {} cannot be used: {}", candidate.round, wrong));
    }
  }
  if (found.checkpoint.round == 0 && !found.damaged.empty()) {
    throw DataError(
        fmt::format("{}; it is the last one, so train anew, without --resume", found.damaged.back()));
  }
  return found;
}

void RemoveNewer(const CheckpointDirectory& directory, std::int64_t round, Communicator& comm) {
  if (comm.rank() == 0) {
    std::vector<std::int64_t> kept;
    for (const auto& checkpoint : directory.Complete()) {
      if (checkpoint.round <= round) kept.push_back(checkpoint.round);
    }
    directory.KeepOnly(kept);
  }
  comm.Barrier();
}

}  // namespace swarmsync
