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

// The root sends its weights from where they are.
void FetchedWeights::Collect(int root, Communicator& comm) {
  const bool is_root = root == comm.rank();
  if (wire_ == Wire::kFp32) return comm.Broadcast(is_root ? params_.weights() : arriving_, root);
  if (is_root) {
    const Change change{params_.weights().data_ptr<float>(), weights_.data_ptr<float>()};
    EncodeChange(wire_, change, weights_.numel(), message_.data_ptr<std::uint8_t>());
  }
  comm.Broadcast(message_, root);
}

void FetchedWeights::Take(int root, const Communicator& comm) {
  const bool is_root = root == comm.rank();
  if (wire_ != Wire::kFp32) {
    AddDecoded(wire_, message_.data_ptr<std::uint8_t>(), 1, weights_.numel(), weights_.data_ptr<float>());
  } else if (keeps_ == Keeps::kNothing) {
    weights_ = is_root ? at::Tensor() : arriving_;
  } else if (is_root) {
    weights_.copy_(params_.weights());
  } else {
    std::swap(weights_, arriving_);
  }
}

// Weights that the next fetch replaces as a whole are not needed again.
void FetchedWeights::VisitState(StateVisitor& state) {
  if (wire_ != Wire::kFp32 || keeps_ == Keeps::kThose) state.Tensor("weights", Held::kByAll, weights_);
}

}  // namespace swarmsync
