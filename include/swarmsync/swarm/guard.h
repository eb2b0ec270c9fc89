#pragma once

#include <vector>

namespace swarmsync {

// What a worker brings to be judged: the loss where it stands, and how far its local steps took it.
struct Conduct {
  double loss = 0;      // NaN: the loss or the weights are not finite; +infinity: it has finished
  double distance = 0;  // |y - x|
};

// Which workers an exchange should do without: those whose loss is NaN; those whose loss is above
//   m + max(|m|, 5 · 1.4826 · MAD)
// with m the median of the finite losses (the lower of two) and MAD the median of their distances from it;
// and those that have gone more than ten times as far as the median of the workers with a finite loss.
// Someone always remains: when both rules together would leave out all, the loss alone decides, and when no
// loss is finite nobody is left out. A worker that has finished is not judged and never left out. Pure; every
// rank finds the same. Result: by rank, as `workers`.
std::vector<bool> FarOut(const std::vector<Conduct>& workers);

}  // namespace swarmsync
