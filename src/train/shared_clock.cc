#include "train/shared_clock.h"

#include <algorithm>
#include <array>
#include <fstream>

#include "swarmsync/base/clock.h"

namespace swarmsync {
namespace {

std::string BootId() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  file >> id;
  return id;
}

}  // namespace

double ClockOffset(Communicator& comm) {
  const std::vector<std::string> boots = comm.AllGather(BootId());
  if (std::all_of(boots.begin(), boots.end(), [&](const std::string& id) { return id == boots[0]; }))
    return 0;
  std::array<double, 9> offsets;
  for (double& offset : offsets) {
    comm.Barrier();
    const double mine = MonotonicSeconds();
    offset = comm.AllGather(mine)[0] - mine;
  }
  std::sort(offsets.begin(), offsets.end());
  return offsets[offsets.size() / 2];
}

WaitingSplit SplitWaiting(const std::vector<SyncSpan>& spans, const std::vector<double>& last_arrivals) {
  WaitingSplit split;
  for (std::size_t k = 0; k < spans.size(); ++k) {
    const double wait = std::clamp(last_arrivals[k] - spans[k].arrival, 0.0, spans[k].seconds);
    split.wait += wait;
    split.sync += spans[k].seconds - wait;
  }
  return split;
}

}  // namespace swarmsync
