#pragma once

#include <vector>

#include "swarmsync/comm/communicator.h"
#include "swarmsync/sync/synchronizer.h"

namespace swarmsync {

// What to add to this rank's MonotonicSeconds() to compare them with rank 0's. Exactly 0 when all ranks run
// under one kernel; else the median over several barriers of the difference in leaving them, good to the time
// that a small message takes. Collective.
double ClockOffset(Communicator& comm);

struct WaitingSplit {
  double sync = 0;
  double wait = 0;
};

// Divides the time that a rank spent in exchanges into waiting for the last rank to arrive and the exchange
// itself. last_arrivals[k]: when the last rank came to the k-th one, by the clock of the spans. Pure.
WaitingSplit SplitWaiting(const std::vector<SyncSpan>& spans, const std::vector<double>& last_arrivals);

}  // namespace swarmsync
