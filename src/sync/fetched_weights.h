#pragma once

#include <ATen/core/Tensor.h>

#include "swarmsync/checkpoint/state.h"
#include "swarmsync/comm/communicator.h"
#include "swarmsync/comm/wire.h"
#include "swarmsync/params/flat_params.h"

namespace swarmsync {

// The weights of one rank, as all ranks have them. Borrows the parameters.
class FetchedWeights {
 public:
  // What there is of the weights that were fetched before.
  enum class Keeps {
    kThose,    // they are whole until others are there, and the rank they came from has them too
    kNothing,  // a fetch that fails spoils them, and the rank they come from has none but its own
  };
  FetchedWeights(FlatParams& params, Wire wire, Keeps keeps);

  // Brings those of rank `root`. Collective: one broadcast. With an encoding, of the difference from those
  // fetched before.
  void Collect(int root, Communicator& comm);
  // weights() <- what was collected; with an encoding the root has what the others have. Local.
  void Take(int root, const Communicator& comm);

  // [flat_size]; undefined on the rank that they came from, with kNothing and no encoding.
  const at::Tensor& weights() const { return weights_; }

  // All ranks have the same weights now.
  void StartHere();

  void VisitState(StateVisitor& state);

 private:
  FlatParams& params_;
  Wire wire_;
  Keeps keeps_;
  at::Tensor weights_;
  at::Tensor arriving_;  // [flat_size]: where others arrive
  at::Tensor message_;   // the encoded difference, in bytes
};

}  // namespace swarmsync
