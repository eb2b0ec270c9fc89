#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "swarmsync/data/dataset.h"

namespace swarmsync {

// How the training samples are spread over the workers.
struct Sharding {
  double skew_alpha = 0;  // 0: evenly, every worker draws from all samples. Else: each has samples of its
                          // own, with a mix of classes drawn from a symmetric Dirichlet distribution of this
                          // concentration; the smaller, the more uneven
  friend bool operator==(const Sharding& a, const Sharding& b) { return a.skew_alpha == b.skew_alpha; }
};

// "iid" or "label-skew:ALPHA", with 0.001 <= ALPHA <= 1000000. Throws UsageError.
Sharding ParseSharding(std::string_view text);
// As text, for ParseSharding().
std::string ToString(const Sharding& sharding);

// Divides `sample_ids` of a set among `workers` by label skew, after Hsu, Qi and Brown (2019): worker i draws
// a distribution q_i over the classes from Dirichlet(alpha, …, alpha); then the workers take samples in turn,
// each from a class drawn from its q_i among the classes that are left. All have floor(samples / workers)
// samples, and no sample has two owners. Where a worker's classes run out it takes, evenly, of those that are
// left, so the last samples of a shard may be less skewed than q_i.
//
// Everything is drawn from Philox streams of kShard, a pure function of its arguments: worker i's q_i from
// the stream with rank i and round 0, its classes from the one with round 1, the order within class c from
// rank c and round 2. Result: [workers], each ascending. Local. Throws UsageError for more workers than
// samples.
std::vector<std::vector<std::int64_t>> ShardByLabel(const ImageSet& set,
                                                    const std::vector<std::int64_t>& sample_ids,
                                                    std::int64_t num_classes, std::int64_t workers,
                                                    double alpha, std::uint64_t seed);

}  // namespace swarmsync
