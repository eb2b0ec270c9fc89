#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "swarmsync/checkpoint/state.h"
#include "swarmsync/comm/communicator.h"

namespace torch::optim {
class Optimizer;
}

namespace swarmsync {

// The mean over the workers of their optimizers' momenta: SGD's momentum buffers, Adam's first and second
// moments.
class MomentaMean {
 public:
  // Borrows the communicator. like: of the weights' type and device, which all ranks share.
  MomentaMean(Communicator& comm, const at::TensorOptions& like) : comm_(comm), like_(like) {}

  // The momenta become their mean over the ranks that contribute, on all ranks that have some. A rank whose
  // optimizer has none, as before its first step, brings nothing, and so does one without an optimizer
  // (nullptr) or with momenta that are not finite. Counts of steps stay. Collective: an all-gather of a
  // number and one all-reduce. Throws CommError when two ranks' momenta differ in size.
  void Average(torch::optim::Optimizer* optimizer, bool contributes);

 private:
  Communicator& comm_;
  at::TensorOptions like_;
  at::Tensor message_;  // the momenta, one after another, and the number of contributors; kept for the next
};

// The momentum that the move of the weights tells. A step of SGD is x <- x - lr b with the momentum b, so a
// round that has brought the weights from x to x' had
//
//   b = (x - x') / (sum of lr over its steps)
//
// on average over its steps (with Nesterov's nearly) and, where the exchange is an average, over the workers,
// whose gradients' noise it so leaves behind. Local. Not thread-safe.
class MomentumOfMove {
 public:
  // Borrows the weights, where a round begins.
  explicit MomentumOfMove(const at::Tensor& weights);

  // A step was made with the rates that the optimizer has.
  void CountStep(const torch::optim::Optimizer& optimizer);
  // The exchange of the round begins; steps count for the next one from here on. The round is longer where
  // the exchange before has not led to Set().
  void EndRound();
  // The first round begins at the weights as they are.
  void StartHere();
  // The weights are where the exchange of the last round has put them, and the next one begins there. Gives
  // SGD's momenta their new values, where there are some and the round had a step.
  void Set(torch::optim::Optimizer* optimizer);

  void VisitState(StateVisitor& state);

 private:
  at::Tensor weights_, start_;
  std::vector<double> rates_, round_rates_;  // by group of parameters: since the last exchange began, and in
                                             // the round before it, until Set()
};

}  // namespace swarmsync
