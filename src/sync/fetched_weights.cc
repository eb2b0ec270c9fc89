#include "sync/fetched_weights.h"

#include <ATen/ATen.h>

#include <utility>

#include "comm/codec.h"

namespace swarmsync {

FetchedWeights::FetchedWeights(FlatParams& params, Wire wire, Keeps keeps)
    : params_(params), wire_(wire), keeps_(keeps) {
  if (wire != Wire::kFp32) {
    const auto bytes = static_cast<std::int64_t>(EncodedBytes(wire, params.weights().numel()));
    weights_ = params.weights().clone();
    message_ = at::zeros({bytes}, at::kByte);
    return;
  }
  arriving_ = params.NewState();
  if (keeps == Keeps::kThose) weights_ = params.NewState();
}

void FetchedWeights::StartHere() {
  if (wire_ != Wire::kFp32) weights_.copy_(params_.weights());
}

void FetchedWeights::Fetch(int root, Communicator& comm) {
  if (wire_ == Wire::kFp32) {
    FetchWhole(root, comm);
  } else {
    FetchEncoded(root, comm);
  }
}

// Weights that the next fetch replaces as a whole are not needed again.
void FetchedWeights::VisitState(StateVisitor& state) {
  if (wire_ != Wire::kFp32 || keeps_ == Keeps::kThose) state.Tensor("weights", Held::kByAll, weights_);
}

// The root sends its weights from where they are.
void FetchedWeights::FetchWhole(int root, Communicator& comm) {
  const bool is_root = root == comm.rank();
  comm.Broadcast(is_root ? params_.weights() : arriving_, root);
  if (keeps_ == Keeps::kNothing) {
    weights_ = is_root ? at::Tensor() : arriving_;
  } else if (is_root) {
    weights_.copy_(params_.weights());
  } else {
    std::swap(weights_, arriving_);
  }
}

void FetchedWeights::FetchEncoded(int root, Communicator& comm) {
  float* const fetched = weights_.data_ptr<float>();
  const std::int64_t size = weights_.numel();
  if (root == comm.rank()) {
    const Change change{params_.weights().data_ptr<float>(), fetched};
    EncodeChange(wire_, change, size, message_.data_ptr<std::uint8_t>());
  }
  comm.Broadcast(message_, root);
  AddDecoded(wire_, message_.data_ptr<std::uint8_t>(), 1, size, fetched);
}

}  // namespace swarmsync
