#pragma once

#include <ATen/ATen.h>
#include <swarmsync/swarmsync.h>

#include <algorithm>
#include <cmath>
#include <vector>

// Averages the better half of the workers, by their training loss; all go on from there.
//
//   H = the ceil(n/2) workers of least f_i     (ties: lowest rank; one that is not finite is in no half)
//   x_i <- 1/|H| sum over j in H of y_j
class EliteAverage final : public swarmsync::Synchronizer {
 public:
  EliteAverage(swarmsync::FlatParams& params, swarmsync::Communicator& comm,
               const swarmsync::SyncOptions& options)
      : Synchronizer(params, comm, options), mean_(params.NewState()) {}
  ~EliteAverage() override { AwaitExchange(); }  // with overlap, one may be using mean_

  std::string_view name() const override { return "elite-average"; }

 protected:
  // Brings what is needed, and changes nothing yet.
  int Collect(const Turn& turn) override {
    const std::vector<double> fitness = GatherFitness(turn);  // by rank
    std::vector<int> ranks;
    for (int rank = 0; rank < comm().size(); ++rank) {
      if (std::isfinite(fitness[rank])) ranks.push_back(rank);
    }
    std::stable_sort(ranks.begin(), ranks.end(), [&](int a, int b) { return fitness[a] < fitness[b]; });
    ranks.resize((ranks.size() + 1) / 2);
    record().fitness = fitness;
    anybody_ = !ranks.empty();
    if (anybody_) {
      std::vector<double> factors(fitness.size(), 0.0);  // a worker with the factor 0 counts for nothing
      for (const int rank : ranks) factors[rank] = 1.0 / ranks.size();
      comm().AllReduce(params().weights(), factors, mean_);
      record().guide = ranks[0];
    }
    return CountWorking(fitness);
  }

  // Changes the weights, in blocks that several threads share.
  void Apply(const Turn&, int) override {
    if (!anybody_) return;
    MoveWeights([&](std::int64_t begin, std::int64_t end) {
      params().weights().slice(0, begin, end).copy_(mean_.slice(0, begin, end));
    });
  }

  // A checkpoint holds what an algorithm remembers; this one remembers nothing.

 private:
  at::Tensor mean_;
  bool anybody_ = false;  // has a fitness
};
