#pragma once

#include <memory>
#include <vector>

#include "swarmsync/comm/communicator.h"

namespace swarmsync {

// A world whose ranks stand in groups of consecutive ranks, such as those of one host, and three ways to talk
// in it. Only the first rank of each group, its leader, talks to other groups.
class HostGroups {
 public:
  // Borrows the world, whose size is a multiple of the group's. Collective.
  HostGroups(Communicator& world, int group_size);
  ~HostGroups();

  // The ranks of this rank's group.
  Communicator& members() { return *members_; }

  // A world whose ranks are the groups. All members of a group make the same calls with the same values, and
  // have the same results. It may be used beside members(), by another thread. Cannot be split.
  Communicator& groups() { return *groups_; }

  // All ranks. A sum is made within the groups, between the leaders, and sent to the members; the rest goes
  // straight. Not beside the other two.
  Communicator& everyone() { return *everyone_; }

 private:
  std::unique_ptr<Communicator> members_, groups_, everyone_;
};

}  // namespace swarmsync
