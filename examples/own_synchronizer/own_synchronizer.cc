// A synchronizer of one's own (elite_average.h), in four workers that are threads. It learns a sine.

#include <swarmsync/comm/thread_world.h>
#include <torch/torch.h>

#include <iostream>

#include "elite_average.h"

// Trains one worker. Its error on points that nobody trained with.
double Train(swarmsync::Communicator& comm) {
  torch::nn::Sequential net(torch::nn::Linear(1, 32), torch::nn::Tanh(), torch::nn::Linear(32, 1));
  torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(0.05).momentum(0.9));
  swarmsync::FlatParams params(*net);
  swarmsync::SyncOptions options;
  options.period = 16;
  const auto make = [](auto& its_params, auto& its_comm, const auto& its_options) {
    return std::make_unique<EliteAverage>(its_params, its_comm, its_options);
  };
  const auto sync = swarmsync::MakeSynchronizer("elite-average", make, params, comm, options);

  // Each worker draws points of its own, from a generator of its own: threads share libtorch's.
  at::Generator generator = at::detail::createCPUGenerator(1 + comm.rank());
  for (int step = 0; step < 1500; ++step) {
    const auto x = torch::rand({64, 1}, generator) * 6 - 3;
    params.ZeroGrad();
    const auto loss = torch::mse_loss(net->forward(x), x.sin());
    loss.backward();
    sync->Step(optimizer, loss);
  }
  sync->Finish();
  sync->WriteFinalModel(params.weights(), params.buffers());
  const auto x = torch::linspace(-3, 3, 200).view({200, 1});
  return torch::mse_loss(net->forward(x), x.sin()).item<double>();
}

int main() try {
  torch::manual_seed(1);
  swarmsync::ThreadWorld world(4);
  double error = 0;
  world.Run([&](int rank) {
    const auto comm = world.Connect(rank);
    const double mine = Train(*comm);
    if (rank == 0) error = mine;
  });
  std::cout << "mean squared error " << error << " with elite-average\n";
  return error < 0.01 ? 0 : 1;
} catch (const swarmsync::Error& error) {
  std::cerr << "own_synchronizer: " << error.what() << '\n';
  return static_cast<int>(error.exit_code());
}
