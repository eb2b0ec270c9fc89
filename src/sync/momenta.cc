#include "sync/momenta.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "checkpoint/optimizer_state.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

// In the order of the optimizer's parameters, so that all ranks have the same.
std::vector<at::Tensor> MomentaOf(torch::optim::Optimizer& optimizer) {
  std::vector<at::Tensor> momenta;
  const auto add = [&](const at::Tensor& momentum) {
    if (momentum.defined()) momenta.push_back(momentum);
  };
  for (const auto& group : optimizer.param_groups()) {
    for (const at::Tensor& parameter : group.params()) {
      torch::optim::OptimizerParamState* state = ParamStateOf(optimizer, parameter);
      if (auto* sgd = dynamic_cast<torch::optim::SGDParamState*>(state)) add(sgd->momentum_buffer());
      if (auto* adam = dynamic_cast<torch::optim::AdamParamState*>(state)) {
        add(adam->exp_avg());
        add(adam->exp_avg_sq());
      }
      if (auto* adam = dynamic_cast<torch::optim::AdamWParamState*>(state)) {
        add(adam->exp_avg());
        add(adam->exp_avg_sq());
      }
    }
  }
  return momenta;
}

// Throws CommError when ranks that have momenta differ in their number.
std::int64_t AgreedSize(std::int64_t mine, Communicator& comm) {
  const std::vector<double> sizes = comm.AllGather(static_cast<double>(mine));
  const double most = *std::max_element(sizes.begin(), sizes.end());
  for (int rank = 0; rank < comm.size(); ++rank) {
    if (sizes[rank] == 0 || sizes[rank] == most) continue;
    throw CommError(fmt::format("rank {} has {} momenta and another has {}; give all the same optimizer",
                                rank, sizes[rank], most));
  }
  return static_cast<std::int64_t>(most);
}

}  // namespace

void MomentaMean::Average(torch::optim::Optimizer* optimizer, bool contributes) {
  torch::NoGradGuard no_grad;
  std::vector<at::Tensor> momenta;
  if (optimizer != nullptr) momenta = MomentaOf(*optimizer);
  std::int64_t mine = 0;
  for (const at::Tensor& momentum : momenta) mine += momentum.numel();
  const std::int64_t size = AgreedSize(mine, comm_);
  if (size == 0) return;

  if (!message_.defined() || message_.numel() != size + 1) message_ = at::empty({size + 1}, like_);
  message_.zero_();
  // Calls visit(momentum, its part of the message) for each.
  const auto for_each = [&](auto visit) {
    std::int64_t at = 0;
    for (at::Tensor& momentum : momenta) {
      visit(momentum, message_.narrow(0, at, momentum.numel()).view(momentum.sizes()));
      at += momentum.numel();
    }
  };
  for_each([](const at::Tensor& momentum, const at::Tensor& part) { part.copy_(momentum); });
  contributes = contributes && mine > 0 && message_.isfinite().all().item<bool>();
  if (!contributes) message_.zero_();
  const at::Tensor contributors = message_.select(0, size);
  contributors.fill_(contributes ? 1 : 0);
  comm_.AllReduceSum(message_);
  if (contributors.item<double>() == 0) return;
  const double part_of_each = 1 / contributors.item<double>();
  for_each([=](at::Tensor& momentum, const at::Tensor& part) { momentum.copy_(part).mul_(part_of_each); });
}

MomentumOfMove::MomentumOfMove(const at::Tensor& weights) : weights_(weights), start_(weights.clone()) {}

void MomentumOfMove::CountStep(const torch::optim::Optimizer& optimizer) {
  rates_.resize(optimizer.param_groups().size());
  for (std::size_t group = 0; group < rates_.size(); ++group)
    rates_[group] += optimizer.param_groups()[group].options().get_lr();
}

void MomentumOfMove::EndRound() {
  round_rates_.resize(rates_.size());
  for (std::size_t group = 0; group < rates_.size(); ++group)
    round_rates_[group] += std::exchange(rates_[group], 0);
}

void MomentumOfMove::StartHere() {
  start_.copy_(weights_);
  rates_.clear();
  round_rates_.clear();
}

void MomentumOfMove::Set(torch::optim::Optimizer* optimizer) {
  torch::NoGradGuard no_grad;
  const at::Tensor move = start_.sub_(weights_);
  for (std::size_t group = 0; optimizer != nullptr && group < round_rates_.size(); ++group) {
    const double rates = round_rates_[group];
    if (rates == 0) continue;
    for (const at::Tensor& parameter : optimizer->param_groups().at(group).params()) {
      auto* sgd = dynamic_cast<torch::optim::SGDParamState*>(ParamStateOf(*optimizer, parameter));
      if (sgd == nullptr || !sgd->momentum_buffer().defined()) continue;
      const at::Tensor moved =
          move.as_strided(parameter.sizes(), parameter.strides(), parameter.storage_offset());
      at::Tensor momentum = sgd->momentum_buffer();
      momentum.copy_(moved).div_(rates);
    }
  }
  start_.copy_(weights_);
  round_rates_.clear();
}

void MomentumOfMove::VisitState(StateVisitor& state) {
  state.TensorInPlace("start", Held::kByEach, start_);
  state.Records("rates", Held::kByEach, rates_);
  state.Records("rates of the round", Held::kByEach, round_rates_);
}

}  // namespace swarmsync
