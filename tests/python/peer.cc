// What python_test.py trains, in C++: SYNCHRONIZER FILE [follow] -> the weights of the four workers' final
// model, as floats, in the file. With `follow` the rate falls, the rounds follow it, and the velocity looks
// ahead.

#include <torch/torch.h>

#include <fstream>
#include <iostream>

#include "swarmsync/comm/thread_world.h"
#include "swarmsync/sync/round_ends.h"
#include "swarmsync/sync/synchronizer.h"

namespace swarmsync {
namespace {

constexpr int kWorkers = 4, kSteps = 22, kBatch = 6, kInputs = 5;

// Numbers that both languages make alike.
at::Tensor Numbers(std::int64_t count, double seed) {
  return at::sin(at::arange(count, at::kDouble) * 0.7 + seed).to(at::kFloat);
}

void Train(int rank, ThreadWorld& world, const std::string& name, bool follow, at::Tensor& result) {
  torch::nn::Sequential net(torch::nn::Linear(kInputs, 7), torch::nn::Tanh(), torch::nn::Linear(7, 1));
  {
    torch::NoGradGuard no_grad;
    double seed = 1;
    for (at::Tensor& parameter : net->parameters())
      parameter.copy_(0.5 * Numbers(parameter.numel(), seed++).view(parameter.sizes()));
  }
  const auto comm = world.Connect(rank);
  FlatParams params(*net);
  SyncOptions options;
  options.period = 4;
  options.seed = 3;
  if (follow) {
    options.swarm.velocity = Velocity::kNesterov;
    options.total_steps = kSteps;
    options.rate = [](std::int64_t step) { return static_cast<double>(kSteps - step + 1) / kSteps; };
    options.round_ends = SpreadRounds({0, kSteps, options.period}, options.rate);
  }
  const auto sync = MakeSynchronizer(name, params, *comm, WithDefaults(name, options));
  torch::optim::SGD sgd(net->parameters(), torch::optim::SGDOptions(0.1).momentum(0.5));
  for (int step = 0; step < kSteps; ++step) {
    const at::Tensor batch = Numbers(kBatch * kInputs, 10.0 * step + rank).view({kBatch, kInputs});
    const at::Tensor target = batch.sum(1, /*keepdim=*/true);
    params.ZeroGrad();
    const at::Tensor loss = at::mse_loss(net->forward(batch), target);
    loss.backward();
    sync->Step(sgd, loss);
  }
  sync->Finish();
  const at::Tensor weights = params.NewState(), buffers = at::empty_like(params.buffers());
  sync->WriteFinalModel(weights, buffers);
  std::vector<at::Tensor> parts;
  for (const FlatParams::Slot& slot : params.slots())
    parts.push_back(FlatParams::View(weights, slot).reshape(-1));
  if (rank == 0) result = at::cat(parts);
}

}  // namespace
}  // namespace swarmsync

int main(int argc, char** argv) {
  at::set_num_threads(1);
  swarmsync::ThreadWorld world(swarmsync::kWorkers);
  at::Tensor result;
  world.Run([&](int rank) { swarmsync::Train(rank, world, argv[1], argc > 3, result); });
  std::ofstream(argv[2], std::ios::binary)
      .write(static_cast<const char*>(result.data_ptr()), static_cast<std::streamsize>(result.nbytes()));
}
