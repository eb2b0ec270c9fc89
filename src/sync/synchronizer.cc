#include "swarmsync/sync/synchronizer.h"

#include <torch/torch.h>

#include <algorithm>
#include <utility>

#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"
#include "swarmsync/swarm/bests.h"

namespace swarmsync {

Synchronizer::Synchronizer(FlatParams& params, Communicator& comm, SyncOptions options)
    : params_(params), comm_(comm), options_(std::move(options)) {}

Synchronizer::~Synchronizer() = default;

void Synchronizer::Step(torch::optim::Optimizer& optimizer, const at::Tensor& loss) {
  if (finished_) throw UsageError("Step() was called after the training had ended");
  params_.Readopt();
  round_loss_.Add(loss);
  OnGradients();
  optimizer.step();
  ++steps_;
  ++round_steps_;
  const bool last = steps_ == options_.total_steps;
  if (round_steps_ == options_.period || last) Exchange(RoundFitness());
  finished_ = last;
}

void Synchronizer::Finish() {
  if (finished_) return;
  params_.Readopt();
  if (round_steps_ > 0) Exchange(RoundFitness());
  while (RunExchange({kNoFitness, /*contributes=*/false}) > 0) {
  }
  const std::vector<double> steps = comm_.AllGather(static_cast<double>(steps_));
  const auto [least, most] = std::minmax_element(steps.begin(), steps.end());
  if (*least != *most) Settle(static_cast<int>(most - steps.begin()));
  finished_ = true;
}

void Synchronizer::OnGradients() {
  if (exchanges_gradients()) RunExchange({kNoFitness, /*contributes=*/true});
}

void Synchronizer::Exchange(double fitness) {
  if (!exchanges_gradients()) RunExchange({fitness, /*contributes=*/true});
  round_steps_ = 0;
  round_loss_ = LossSum();
}

int Synchronizer::RunExchange(const Turn& turn) {
  torch::NoGradGuard no_grad;
  const double arrival = MonotonicSeconds();
  const int contributors = DoExchange(turn);
  spans_.push_back({arrival, MonotonicSeconds() - arrival});
  if (contributors > 0) ++rounds_;
  return contributors;
}

double Synchronizer::RoundFitness() {
  if (exchanges_gradients()) return kNoFitness;
  if (options_.fitness == Fitness::kProbe) return options_.probe();
  return round_loss_.Mean();
}

void Synchronizer::WriteFinalModel(const at::Tensor& out) {
  torch::NoGradGuard no_grad;
  out.copy_(params_.weights());
  comm_.AllReduceSum(out);
  out.mul_(1.0 / comm_.size());
}

std::vector<SyncSpan> Synchronizer::TakeSpans() { return std::exchange(spans_, {}); }

}  // namespace swarmsync
