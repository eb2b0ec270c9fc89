// A module and a loop of one's own, synchronized with PSO-PS. Run plainly it is a world of one; under
// torchrun, or with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set, it is one worker. It learns which of
// two spirals a point is on.

#include <swarmsync/swarmsync.h>
#include <torch/torch.h>

#include <cmath>
#include <iostream>

struct Net : torch::nn::Module {
  torch::nn::Sequential layers = register_module(
      "layers", torch::nn::Sequential(torch::nn::Linear(2, 64), torch::nn::Tanh(), torch::nn::Linear(64, 64),
                                      torch::nn::Tanh(), torch::nn::Linear(64, 2)));
  torch::Tensor forward(torch::Tensor x) { return layers->forward(x); }
};

// Points on two spirals: [count, 2], and which one each is on: [count].
std::pair<torch::Tensor, torch::Tensor> Spirals(int64_t count) {
  const auto labels = torch::randint(0, 2, {count});
  const auto turn = torch::rand({count}) * 2 * M_PI;
  const auto angle = turn + labels * M_PI;
  const auto radius = turn / (2 * M_PI);
  return {torch::stack({radius * angle.cos(), radius * angle.sin()}, 1) + 0.01 * torch::randn({count, 2}),
          labels};
}

int main() try {
  auto comm = swarmsync::ConnectFromEnvironment();
  torch::manual_seed(1 + comm->rank());  // each worker draws points of its own
  auto net = std::make_shared<Net>();
  torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(0.05).momentum(0.9));

  swarmsync::FlatParams params(*net);
  auto sync = swarmsync::MakeSynchronizer("pso-ps", params, *comm, {.period = 32});
  for (int step = 0; step < 2000; ++step) {
    auto [points, labels] = Spirals(64);
    params.ZeroGrad();
    auto loss = torch::cross_entropy_loss(net->forward(points), labels);
    loss.backward();
    sync->Step(optimizer, loss);
  }
  sync->Finish();

  sync->WriteFinalModel(params.weights(), params.buffers());  // now the same on all workers
  auto [points, labels] = Spirals(2000);
  const double accuracy = net->forward(points).argmax(1).eq(labels).to(torch::kDouble).mean().item<double>();
  if (comm->rank() == 0) {
    std::cout << "accuracy " << accuracy << " after " << sync->rounds() << " exchanges of " << comm->size()
              << " workers\n";
  }
  return accuracy > 0.9 ? 0 : 1;
} catch (const swarmsync::Error& error) {
  std::cerr << "own_loop: " << error.what() << '\n';
  return static_cast<int>(error.exit_code());
}
