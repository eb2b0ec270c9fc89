#include "comm/echo_communicator.h"

#include <ATen/ATen.h>

#include <cstring>
#include <numeric>

namespace swarmsync {

EchoCommunicator::EchoCommunicator(int rank, int size, int group_size)
    : rank_(rank), size_(size), group_size_(group_size) {}

void EchoCommunicator::AllReduce(const at::Tensor& in, const std::vector<double>& factors,
                                 const at::Tensor& out) {
  *largest_sum_ = std::max(*largest_sum_, static_cast<std::int64_t>(in.nbytes()));
  at::NoGradGuard no_grad;
  out.copy_(in);
  out.mul_(factors.empty() ? size_ : std::accumulate(factors.begin(), factors.end(), 0.0));
}

void EchoCommunicator::Broadcast(const at::Tensor& inout, int root) {
  if (root == rank_) return;
  at::NoGradGuard no_grad;
  inout.zero_();
  if (inout.scalar_type() != at::kByte) {
    if (inout.numel() > 0) inout.view({-1})[-1].fill_(1);
    return;
  }
  const double one = 1;
  auto* const bytes = static_cast<unsigned char*>(inout.data_ptr());
  for (std::size_t at = 0; at + sizeof one <= inout.nbytes(); at += sizeof one)
    std::memcpy(bytes + at, &one, sizeof one);
}

void EchoCommunicator::AllGatherBytes(const void* mine, std::size_t bytes, void* all) {
  if (bytes == 0) return;
  for (int rank = 0; rank < size_; ++rank)
    std::memcpy(static_cast<char*>(all) + static_cast<std::size_t>(rank) * bytes, mine, bytes);
}

void EchoCommunicator::AllToAllBytes(const void* mine, std::size_t bytes, void* all) {
  AllGatherBytes(static_cast<const char*>(mine) + static_cast<std::size_t>(rank_) * bytes, bytes, all);
}

std::unique_ptr<Communicator> EchoCommunicator::Split(int color, double /*patience*/) {
  if (color < 0) return nullptr;
  const int groups = size_ / group_size_;
  auto part = color == rank_ / group_size_
                  ? std::make_unique<EchoCommunicator>(rank_ % group_size_, group_size_, 1)
                  : std::make_unique<EchoCommunicator>(rank_ / group_size_, groups, 1);
  part->largest_sum_ = largest_sum_;
  return part;
}

}  // namespace swarmsync
