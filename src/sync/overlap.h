#pragma once

#include <ATen/core/Tensor.h>

#include <future>
#include <memory>
#include <utility>

#include "swarmsync/sync/synchronizer.h"

namespace swarmsync {

// Where the algorithm works while the model trains: on weights and buffers of its own, which are the model's
// as they were when the exchange began.
struct Synchronizer::Overlap {
  Overlap(FlatParams& model_params, std::unique_ptr<FlatParams> exchanged_params)
      : model(model_params), exchanged(std::move(exchanged_params)), weights_before(exchanged->NewState()) {}

  FlatParams& model;
  std::unique_ptr<FlatParams> exchanged;
  at::Tensor weights_before;      // the exchange has not moved these
  bool buffers_moved = false;     // by the last exchange
  std::future<int> contributors;  // of the exchange that is under way

  bool under_way() const { return contributors.valid(); }

  void CopyIn() {
    exchanged->weights().copy_(model.weights());
    exchanged->buffers().copy_(model.buffers());
    weights_before.copy_(model.weights());
    buffers_moved = false;
  }

  // anew: nothing is kept of what the model was, for it made no step since, or was left out.
  void Apply(bool anew) {
    if (anew) {
      CopyOut();
    } else {
      AddCorrection();
    }
  }

  // The model becomes what the exchange made.
  void CopyOut() {
    model.weights().copy_(exchanged->weights());
    model.buffers().copy_(exchanged->buffers());
  }

  // The model's weights move by what the exchange moved. Running statistics have no use for such a sum, which
  // might make a variance negative.
  void AddCorrection() {
    model.weights().add_(exchanged->weights()).sub_(weights_before);
    if (buffers_moved) model.buffers().copy_(exchanged->buffers());
  }
};

}  // namespace swarmsync
