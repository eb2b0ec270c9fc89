#include "swarmsync/comm/counting_communicator.h"

#include <mutex>
#include <vector>

namespace swarmsync {

struct CountingCommunicator::Tally {
  // ranks_per_host: every so many of the group's ranks are on one host.
  Tally(int group_size, int ranks_per_host)
      : size(group_size),
        leaving(size <= ranks_per_host ? 0 : static_cast<double>(size - ranks_per_host) / (size - 1)) {}

  const int size;
  const double leaving;  // the part of a rank's bytes that goes to other hosts
  mutable std::mutex mutex;
  Traffic traffic;
  std::vector<std::shared_ptr<const Tally>> parts;  // of groups that were split off

  void AddTo(SentBytes& sent) const {
    const std::lock_guard lock(mutex);
    const double mine = static_cast<double>(traffic.bytes_all_ranks) / size;
    sent.all += mine;
    sent.between_hosts += leaving * mine;
    for (const auto& part : parts) part->AddTo(sent);
  }
  Traffic WithCallsOfParts() const {
    const std::lock_guard lock(mutex);
    Traffic sum = traffic;
    for (const auto& part : parts) {
      const Traffic theirs = part->WithCallsOfParts();
      sum.all_reduces += theirs.all_reduces;
      sum.broadcasts += theirs.broadcasts;
      sum.all_gathers += theirs.all_gathers;
      sum.all_to_alls += theirs.all_to_alls;
    }
    return sum;
  }
};

CountingCommunicator::CountingCommunicator(Communicator& inner, int ranks_per_host)
    : inner_(inner),
      rank_(inner.rank()),
      size_(inner.size()),
      ranks_per_host_(ranks_per_host),
      tally_(std::make_shared<Tally>(inner.size(), ranks_per_host)) {}

CountingCommunicator::~CountingCommunicator() = default;

void CountingCommunicator::AllReduce(const at::Tensor& in, const std::vector<double>& factors,
                                     const at::Tensor& out) {
  Count(&Traffic::all_reduces, 2 * (size() - 1) * static_cast<std::int64_t>(in.nbytes()));
  inner_.AllReduce(in, factors, out);
}

void CountingCommunicator::Broadcast(const at::Tensor& inout, int root) {
  Count(&Traffic::broadcasts, (size() - 1) * static_cast<std::int64_t>(inout.nbytes()));
  inner_.Broadcast(inout, root);
}

void CountingCommunicator::AllGatherBytes(const void* mine, std::size_t bytes, void* all) {
  Count(&Traffic::all_gathers, FromEachToEach(bytes));
  inner_.AllGatherBytes(mine, bytes, all);
}

void CountingCommunicator::AllToAllBytes(const void* mine, std::size_t bytes, void* all) {
  Count(&Traffic::all_to_alls, FromEachToEach(bytes));
  inner_.AllToAllBytes(mine, bytes, all);
}

std::unique_ptr<Communicator> CountingCommunicator::Split(int color, double patience) {
  auto [group, on_one_host] = SplitOff(inner_, color, patience, ranks_per_host_);
  if (!group) return nullptr;
  auto counting = std::make_unique<CountingCommunicator>(*group, on_one_host ? group->size() : 1);
  counting->owned_ = std::move(group);
  const std::lock_guard lock(tally_->mutex);
  tally_->parts.push_back(counting->tally_);
  return counting;
}

Traffic CountingCommunicator::traffic() const { return tally_->WithCallsOfParts(); }

SentBytes CountingCommunicator::sent() const {
  SentBytes sent;
  tally_->AddTo(sent);
  return sent;
}

std::int64_t CountingCommunicator::FromEachToEach(std::size_t bytes) const {
  return static_cast<std::int64_t>(size()) * (size() - 1) * static_cast<std::int64_t>(bytes);
}

void CountingCommunicator::Count(std::int64_t Traffic::*calls, std::int64_t bytes_all_ranks) {
  const std::lock_guard lock(tally_->mutex);
  ++(tally_->traffic.*calls);
  tally_->traffic.bytes_all_ranks += bytes_all_ranks;
}

}  // namespace swarmsync
