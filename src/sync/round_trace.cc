#include "swarmsync/sync/round_trace.h"

#include <cmath>

#include "swarmsync/swarm/bests.h"

namespace swarmsync {
namespace {

// Root mean square distance from the mean.
double Spread(const std::vector<const RoundTrace*>& workers) {
  WeightSketch mean;
  for (const RoundTrace* worker : workers) mean += worker->end;
  mean *= 1.0 / static_cast<double>(workers.size());
  double sum = 0;
  for (const RoundTrace* worker : workers) {
    const double distance = (worker->end - mean).Norm();
    sum += distance * distance;
  }
  return std::sqrt(sum / static_cast<double>(workers.size()));
}

}  // namespace

RoundRecord RoundRecorder::Combine(const std::vector<RoundTrace>& traces) {
  RoundRecord record;
  record.round = traces.front().round;
  record.step = traces.front().step;
  std::vector<const RoundTrace*> workers;
  for (int rank = 0; rank < static_cast<int>(traces.size()); ++rank) {
    const RoundTrace& trace = traces[rank];
    record.fitness.push_back(trace.fitness);
    record.inertia.push_back(trace.inertia);
    record.seconds += trace.seconds / static_cast<double>(traces.size());
    record.bytes += trace.bytes / static_cast<double>(traces.size());
    if (trace.left_out) record.left_out.push_back(rank);
    if (!trace.left_out && trace.fitness != kNoFitness) workers.push_back(&trace);
  }
  record.best = BestOf(record.fitness);
  if (record.best >= 0) {
    const double least = record.fitness[record.best];
    if (has_fitness_ && least < least_fitness_) record.improvement = least_fitness_ - least;
    if (!has_fitness_ || least < least_fitness_) least_fitness_ = least;
    has_fitness_ = true;
  }
  if (workers.empty()) return record;
  record.spread = Spread(workers);
  for (const RoundTrace* worker : workers) {
    record.displacement += worker->displacement / static_cast<double>(workers.size());
    record.pull += worker->pull / static_cast<double>(workers.size());
    record.move += worker->move / static_cast<double>(workers.size());
  }
  return record;
}

void RoundRecorder::VisitState(StateVisitor& state) {
  state.Number("least fitness", Held::kByAll, least_fitness_);
  state.Number("has fitness", Held::kByAll, has_fitness_);
}

}  // namespace swarmsync
