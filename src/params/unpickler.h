#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "params/complaint.h"

namespace swarmsync {

// What a pickled state dict says of a tensor. Nothing has been checked but the types, and that there are as
// many strides as sizes.
struct StoredTensor {
  std::string_view storage;  // its key, in the pickle
  at::ScalarType type = at::kFloat;
  std::int64_t storage_size = 0;  // in elements
  std::int64_t offset = 0;
  std::vector<std::int64_t> sizes, strides;
};

struct Complaints {
  const Complaint& damaged;  // what no pickler writes
  const Complaint& foreign;  // what is pickled well and is not a state dict alone
};

// Reads the pickle of a state dict: a dictionary from texts to tensors. Python's pickles are programs; this
// machine knows the instructions of protocol 2 and of Python's functions only the few that rebuild tensors
// and ordered dictionaries, which it does itself. It calls nothing, takes time and memory in proportion to
// the pickle, and does not recurse. Local. Throws what the complaints do.
std::vector<std::pair<std::string, StoredTensor>> UnpickleStateDict(std::string_view pickle,
                                                                    const Complaints& complaints);

}  // namespace swarmsync
