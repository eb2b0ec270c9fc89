#include "comm/long_waits.h"

#include <algorithm>
#include <set>
#include <utility>

namespace swarmsync {
namespace {

struct AllWaits {
  std::mutex mutex;  // of the waits too
  std::set<const LongWait*> under_way;
};

AllWaits& All() {
  static AllWaits all;
  return all;
}

}  // namespace

bool Wait::tells() const {
  int first = 0;
  while (std::find(awaited.begin(), awaited.end(), first) != awaited.end()) ++first;
  return rank == first;
}

LongWait::LongWait(Wait wait) : wait_(std::move(wait)) {
  const std::lock_guard<std::mutex> lock(All().mutex);
  All().under_way.insert(this);
}

LongWait::~LongWait() {
  const std::lock_guard<std::mutex> lock(All().mutex);
  All().under_way.erase(this);
}

void LongWait::Awaits(std::vector<int> ranks) {
  const std::lock_guard<std::mutex> lock(All().mutex);
  wait_.awaited = std::move(ranks);
}

std::vector<Wait> WaitsBegunBefore(double moment) {
  const std::lock_guard<std::mutex> lock(All().mutex);
  std::vector<Wait> waits;
  for (const LongWait* wait : All().under_way) {
    if (wait->wait_.since < moment) waits.push_back(wait->wait_);
  }
  return waits;
}

}  // namespace swarmsync
