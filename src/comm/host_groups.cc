#include "comm/host_groups.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "comm/passing_communicator.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

constexpr int kLeader = 0;  // its rank in its group
// Members wait while their leader talks to others, which has a deadline for each of its own waits; and so may
// a leader wait for a member that stopped in the middle of what it is told.
constexpr double kPatience = 100;

class Groups : public Communicator {
 public:
  Groups(Communicator& world, int group_size)
      : rank_(world.rank() / group_size),
        size_(world.size() / group_size),
        members_(world.Split(rank_, kPatience)),
        leaders_(world.Split(world.rank() % group_size == kLeader ? 0 : -1, 1)) {}

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override {
    if (leaders_) leaders_->AllReduce(in, factors, out);
    members_->Broadcast(out, kLeader);
  }
  void Broadcast(const at::Tensor& inout, int root) override {
    if (leaders_) leaders_->Broadcast(inout, root);
    if (root != rank_) members_->Broadcast(inout, kLeader);
  }
  void AllGatherBytes(const void* mine, std::size_t bytes, void* all) override {
    if (leaders_) leaders_->AllGatherBytes(mine, bytes, all);
    ShareBytes(all, bytes);
  }
  void AllToAllBytes(const void* mine, std::size_t bytes, void* all) override {
    if (leaders_) leaders_->AllToAllBytes(mine, bytes, all);
    ShareBytes(all, bytes);
  }
  std::unique_ptr<Communicator> Split(int, double) override {
    throw UsageError("a world whose ranks are groups cannot be split");
  }

 private:
  // What the leader has got from each group, to the members.
  void ShareBytes(void* all, std::size_t bytes) {
    const auto count = static_cast<std::int64_t>(bytes) * size();
    members_->Broadcast(at::from_blob(all, {count}, at::kByte), kLeader);
  }

  int rank_, size_;
  std::unique_ptr<Communicator> members_, leaders_;  // leaders_: null for the others
};

class Everyone : public PassingCommunicator {
 public:
  Everyone(Communicator& world, Communicator& members, Communicator& groups)
      : PassingCommunicator(world), members_(members), groups_(groups) {}

  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override {
    std::vector<double> of_members;
    if (!factors.empty()) {
      const auto first = factors.begin() + groups_.rank() * members_.size();
      of_members.assign(first, first + members_.size());
    }
    members_.AllReduce(in, of_members, out);
    groups_.AllReduceSum(out);
  }
  void Broadcast(const at::Tensor& inout, int root) override {
    const int group = root / members_.size();
    if (group == groups_.rank()) members_.Broadcast(inout, root % members_.size());
    groups_.Broadcast(inout, group);
  }

 private:
  Communicator &members_, &groups_;
};

}  // namespace

HostGroups::HostGroups(Communicator& world, int group_size) {
  if (group_size < 1 || world.size() % group_size != 0) {
    throw UsageError(
        fmt::format("group_size is {}; it must divide the number of workers, {}", group_size, world.size()));
  }
  members_ = world.Split(world.rank() / group_size, 1);
  groups_ = std::make_unique<Groups>(world, group_size);
  everyone_ = std::make_unique<Everyone>(world, *members_, *groups_);
}

HostGroups::~HostGroups() = default;

}  // namespace swarmsync
