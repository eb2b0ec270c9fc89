#pragma once

#include <vector>

namespace swarmsync {

// What a worker brings to be judged: the loss where it stands, and how far its local steps took it.
struct Conduct {
  double loss = 0;      // NaN: the loss or the weights are not finite; +infinity: it has finished
  double distance = 0;  // |y - x|
};

// Which workers an exchange should do without: those whose loss is NaN, and those whose loss or distance is
// far above the others', that is above
//   m + max(r |m|, 5 · 1.4826 · MAD)
// with m the median of the workers whose loss is finite (the lower of two), MAD the median of their distances
// from it, and r 1 for the loss, 9 for the distance: twice the loss and ten times the way are always allowed.
// A worker that has finished is not judged and never left out. When no loss is finite nobody is left out, for
// there is no one to go on from. Pure; every rank finds the same. Result: by rank, as `workers`.
std::vector<bool> FarOut(const std::vector<Conduct>& workers);

}  // namespace swarmsync
