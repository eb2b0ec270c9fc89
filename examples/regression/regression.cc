// A regression with a loss of one's own: quantiles of a noisy curve. Each worker has a part of the data that
// the others never see. Launched as own_loop is: plainly, by torchrun, mpirun or srun, or with rank
// variables.

#include <swarmsync/swarmsync.h>
#include <torch/torch.h>

#include <iostream>

// The mean loss of predicting the quantile q (Koenker and Bassett 1978): what is too low costs q, what is too
// high 1 - q.
torch::Tensor QuantileLoss(const torch::Tensor& predicted, const torch::Tensor& target, double q) {
  const auto missing = target - predicted;
  return torch::max(q * missing, (q - 1) * missing).mean();
}

// y = x^2 and noise from 0 to 1: the quantile q is x^2 + q.
std::pair<torch::Tensor, torch::Tensor> Draw(double from, double to) {
  const auto x = torch::rand({64, 1}) * (to - from) + from;
  return {x, x.square() + torch::rand({64, 1})};
}

int main() try {
  constexpr double kQuantile = 0.9;
  auto comm = swarmsync::ConnectFromEnvironment();
  torch::manual_seed(1 + comm->rank());
  torch::nn::Sequential net(torch::nn::Linear(1, 32), torch::nn::Tanh(), torch::nn::Linear(32, 1));
  torch::optim::Adam optimizer(net->parameters(), torch::optim::AdamOptions(0.005));
  swarmsync::FlatParams params(*net);
  auto sync = swarmsync::MakeSynchronizer("average", params, *comm, {.period = 8});

  // This worker's part of the line from -1 to 1.
  const double part = 2.0 / comm->size(), from = -1 + part * comm->rank();
  for (int step = 0; step < 2000; ++step) {
    const auto [x, y] = Draw(from, from + part);
    params.ZeroGrad();
    const auto loss = QuantileLoss(net->forward(x), y, kQuantile);
    loss.backward();
    sync->Step(optimizer, loss);
  }
  sync->Finish();
  sync->WriteFinalModel(params.weights(), params.buffers());

  const auto x = torch::linspace(-1, 1, 100).view({100, 1});
  const double error = (net->forward(x) - x.square() - kQuantile).abs().mean().item<double>();
  if (comm->rank() == 0)
    std::cout << "mean distance from the quantile " << error << ", with " << comm->size() << " workers\n";
  return error < 0.1 ? 0 : 1;
} catch (const swarmsync::Error& error) {
  std::cerr << "regression: " << error.what() << '\n';
  return static_cast<int>(error.exit_code());
}
