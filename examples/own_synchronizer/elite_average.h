#pragma once

#include <ATen/ATen.h>
#include <swarmsync/swarmsync.h>

#include <algorithm>
#include <cmath>
#include <numeric>
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
    const int working = CountWorking(fitness);
    std::vector<int> ranks(fitness.size());
    std::iota(ranks.begin(), ranks.end(), 0);
    std::stable_sort(ranks.begin(), ranks.end(),
                     [&](int a, int b) { return Key(fitness[a]) < Key(fitness[b]); });
    ranks.resize(std::max(1, (working + 1) / 2));

    std::vector<double> factors(fitness.size(), 0.0);  // a worker with the factor 0 counts for nothing
    for (const int rank : ranks) factors[rank] = 1.0 / ranks.size();
    comm().AllReduce(params().weights(), factors, mean_);
    record().fitness = fitness;
    record().guide = ranks[0];
    return working;
  }

  // Changes the weights, in blocks that several threads share.
  void Apply(const Turn&, int) override {
    MoveWeights([&](std::int64_t begin, std::int64_t end) {
      params().weights().slice(0, begin, end).copy_(mean_.slice(0, begin, end));
    });
  }

  // A checkpoint holds what an algorithm remembers; this one remembers nothing.

 private:
  static double Key(double fitness) { return std::isfinite(fitness) ? fitness : HUGE_VAL; }

  at::Tensor mean_;
};
