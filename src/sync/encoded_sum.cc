#include "sync/encoded_sum.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "comm/codec.h"

namespace swarmsync {
namespace {

at::Tensor Bytes(std::size_t count) { return at::zeros({static_cast<std::int64_t>(count)}, at::kByte); }

}  // namespace

EncodedSum::EncodedSum(Wire wire, Sends sends, const at::Tensor& like, const Communicator& comm)
    : wire_(wire),
      size_(like.numel()),
      part_((size_ + comm.size() - 1) / comm.size()),
      part_bytes_(EncodedBytes(wire, part_)) {
  const auto all_bytes = static_cast<std::size_t>(comm.size()) * part_bytes_;
  if (sends == Sends::kDifferences) reference_ = like.clone();
  lost_ = at::zeros_like(like);
  lost_of_sum_ = at::zeros({part_});
  sum_ = at::zeros({part_});
  sent_ = Bytes(all_bytes);
  arrived_ = Bytes(all_bytes);
  sums_ = Bytes(all_bytes);
}

void EncodedSum::StartAt(const at::Tensor& flat) {
  reference_.copy_(flat);
  lost_.zero_();
  lost_of_sum_.zero_();
}

std::int64_t EncodedSum::PartSize(int rank) const {
  return std::clamp<std::int64_t>(size_ - rank * part_, 0, part_);
}

void EncodedSum::Add(const at::Tensor& flat, const std::vector<double>& factors, const at::Tensor& out,
                     Communicator& comm) {
  const double total = std::accumulate(factors.begin(), factors.end(), 0.0);
  if (total == 0) {
    out.zero_();
    return;
  }
  const auto at_part = [&](const at::Tensor& tensor, int rank) {
    return tensor.defined() ? tensor.data_ptr<float>() + std::min(rank * part_, size_) : nullptr;
  };
  const auto bytes_at = [&](const at::Tensor& bytes, int rank) {
    return bytes.data_ptr<std::uint8_t>() + static_cast<std::size_t>(rank) * part_bytes_;
  };
  const int me = comm.rank();
  const double mine = factors[static_cast<std::size_t>(me)];
  for (int owner = 0; mine != 0 && owner < comm.size(); ++owner) {
    const Change change{at_part(flat, owner), at_part(reference_, owner), mine, at_part(lost_, owner)};
    EncodeChange(wire_, change, PartSize(owner), bytes_at(sent_, owner));
  }
  if (mine == 0) lost_.zero_();
  comm.AllToAllBytes(sent_.data_ptr(), part_bytes_, arrived_.data_ptr());

  sum_.zero_();
  for (int rank = 0; rank < comm.size(); ++rank) {
    if (factors[static_cast<std::size_t>(rank)] != 0)
      AddDecoded(wire_, bytes_at(arrived_, rank), 1, PartSize(me), sum_.data_ptr<float>());
  }
  const Change sum{sum_.data_ptr<float>(), nullptr, 1, lost_of_sum_.data_ptr<float>()};
  EncodeChange(wire_, sum, PartSize(me), bytes_at(sent_, 0));
  comm.AllGatherBytes(bytes_at(sent_, 0), part_bytes_, sums_.data_ptr());

  if (reference_.defined()) {
    // Its mean is the next reference.
    for (int owner = 0; owner < comm.size(); ++owner)
      AddDecoded(wire_, bytes_at(sums_, owner), 1 / total, PartSize(owner), at_part(reference_, owner));
    at::Tensor sum_of_weights = out;
    at::mul_out(sum_of_weights, reference_, at::scalar_tensor(total));
    return;
  }
  out.zero_();
  for (int owner = 0; owner < comm.size(); ++owner)
    AddDecoded(wire_, bytes_at(sums_, owner), 1, PartSize(owner), at_part(out, owner));
}

void EncodedSum::VisitState(StateVisitor& state) {
  state.Tensor("reference", Held::kByAll, reference_);
  state.Tensor("lost", Held::kByEach, lost_);
  if (state.same_world()) state.Tensor("lost of the sum", Held::kByEach, lost_of_sum_);
}

}  // namespace swarmsync
