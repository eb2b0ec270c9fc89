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
      ranks_(comm.size()),
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

float* EncodedSum::PartOf(const at::Tensor& flat, int rank) const {
  return flat.defined() ? flat.data_ptr<float>() + std::min(rank * part_, size_) : nullptr;
}

std::uint8_t* EncodedSum::BytesOf(const at::Tensor& bytes, int rank) const {
  return bytes.data_ptr<std::uint8_t>() + static_cast<std::size_t>(rank) * part_bytes_;
}

void EncodedSum::Collect(const at::Tensor& flat, const std::vector<double>& factors, Communicator& comm) {
  total_ = std::accumulate(factors.begin(), factors.end(), 0.0);
  if (total_ == 0) return;
  const int me = comm.rank();
  const double mine = factors[static_cast<std::size_t>(me)];
  for (int owner = 0; mine != 0 && owner < comm.size(); ++owner) {
    const Change change{PartOf(flat, owner), PartOf(reference_, owner), mine, PartOf(lost_, owner)};
    EncodeChange(wire_, change, PartSize(owner), BytesOf(sent_, owner));
  }
  if (mine == 0) lost_.zero_();
  comm.AllToAllBytes(sent_.data_ptr(), part_bytes_, arrived_.data_ptr());

  sum_.zero_();
  for (int rank = 0; rank < comm.size(); ++rank) {
    if (factors[static_cast<std::size_t>(rank)] != 0)
      AddDecoded(wire_, BytesOf(arrived_, rank), 1, PartSize(me), sum_.data_ptr<float>());
  }
  const Change sum{sum_.data_ptr<float>(), nullptr, 1, lost_of_sum_.data_ptr<float>()};
  EncodeChange(wire_, sum, PartSize(me), BytesOf(sent_, 0));
  comm.AllGatherBytes(BytesOf(sent_, 0), part_bytes_, sums_.data_ptr());
}

void EncodedSum::Take(const at::Tensor& out) {
  if (total_ > 0 && reference_.defined()) {
    for (int owner = 0; owner < ranks_; ++owner)
      AddDecoded(wire_, BytesOf(sums_, owner), 1 / total_, PartSize(owner), PartOf(reference_, owner));
    at::Tensor sum_of_weights = out;
    at::mul_out(sum_of_weights, reference_, at::scalar_tensor(total_));
    return;
  }
  out.zero_();
  for (int owner = 0; total_ > 0 && owner < ranks_; ++owner)
    AddDecoded(wire_, BytesOf(sums_, owner), 1, PartSize(owner), PartOf(out, owner));
}

void EncodedSum::VisitState(StateVisitor& state) {
  state.Tensor("reference", Held::kByAll, reference_);
  state.Tensor("lost", Held::kByEach, lost_);
  if (state.same_world()) state.Tensor("lost of the sum", Held::kByEach, lost_of_sum_);
}

}  // namespace swarmsync
