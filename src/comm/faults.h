#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "swarmsync/base/names.h"
#include "swarmsync/comm/communicator.h"

namespace swarmsync {

// What goes wrong on purpose, to see what a run makes of it: at the communicator and at the files that are
// written, where it would go wrong by itself.
enum class FaultKind {
  kKill,     // SIGKILL for the worker
  kStop,     // SIGSTOP: it is frozen
  kSlow,     // it takes so many seconds longer
  kDrop,     // its connections are closed
  kCorrupt,  // one bit is wrong in a tensor that it receives
  kRefuse,   // so many of its files cannot be written, as the disk is full
};

template <>
struct EnumNames<FaultKind> {
  static constexpr std::string_view kWhat = "fault";
  static constexpr std::array<std::pair<FaultKind, std::string_view>, 6> kNames{
      {{FaultKind::kKill, "kill"},
       {FaultKind::kStop, "stop"},
       {FaultKind::kSlow, "slow"},
       {FaultKind::kDrop, "drop"},
       {FaultKind::kCorrupt, "corrupt"},
       {FaultKind::kRefuse, "refuse"}}};
};

struct Fault {
  int worker = 0;
  FaultKind kind = FaultKind::kKill;
  double amount = 1;    // kSlow: seconds; kRefuse: files
  std::int64_t at = 1;  // the worker's collective, or its file, counted from 1
};

// "WORKER:KIND[=AMOUNT]@NUMBER,…", such as "1:kill@40,0:slow=2.5@17,2:refuse=3@1". Throws UsageError. Pure.
std::vector<Fault> ParseFaults(std::string_view text);

// The environment variable that has them.
constexpr const char* kFaultsVariable = "SWARMSYNC_FAULTS";

// The faults of one worker, in all worlds that it comes to. Each that happens writes a line to standard error
// first. One thread at a time; files of any thread, as all of a process share them: of several workers in one
// process, the last that was made counts.
class Faults {
 public:
  Faults(const std::vector<Fault>& all, int worker);
  ~Faults();
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  // The communicator with its faults; `inner` itself where this worker has none. Groups that are split off
  // have none.
  std::unique_ptr<Communicator> In(std::unique_ptr<Communicator> inner);

 private:
  struct State;  // private to faults.cc
  std::shared_ptr<State> state_;
};

}  // namespace swarmsync
