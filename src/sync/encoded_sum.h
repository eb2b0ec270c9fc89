#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "swarmsync/checkpoint/state.h"
#include "swarmsync/comm/communicator.h"
#include "swarmsync/comm/wire.h"

namespace swarmsync {

// Weighted sums over the ranks that travel in fewer bits, the same bits on all ranks. Each rank sends the
// parts that others own, adds up its own, and sends the sum to all (the scheme of an all-reduce, with an
// encoding on each way). What an encoding loses is added to what is sent the next time (Seide et al. 2014;
// Karimireddy et al. 2019), on both ways.
class EncodedSum {
 public:
  enum class Sends {
    kValues,       // as gradients need it
    kDifferences,  // from the last weighted mean, which all ranks know: as weights need it, which change by
                   // little
  };

  // like: of the tensors' size, on the CPU. Local.
  EncodedSum(Wire wire, Sends sends, const at::Tensor& like, const Communicator& comm);

  // All ranks have the same `flat` now: what is sent next are differences from it, and nothing was lost.
  void StartAt(const at::Tensor& flat);

  // Brings sum_r factors[r] flat_r, the ranks with a factor of 0 left out, whatever they have. factors:
  // [ranks], the same on all. flat: [size]. Collective: an all-to-all and an all-gather of 1/ranks of the
  // size each.
  void Collect(const at::Tensor& flat, const std::vector<double>& factors, Communicator& comm);
  // out <- what was collected last; its mean is what the next differences are from. out: [size]. Local.
  void Take(const at::Tensor& out);

  void VisitState(StateVisitor& state);

 private:
  float* PartOf(const at::Tensor& flat, int rank) const;  // null where there is none
  std::uint8_t* BytesOf(const at::Tensor& bytes, int rank) const;
  std::int64_t PartSize(int rank) const;  // the last ranks may have less than part_, or nothing

  Wire wire_;
  int ranks_;
  std::int64_t size_, part_;  // part_: what a rank owns
  std::size_t part_bytes_;
  at::Tensor reference_;              // [size]; undefined with kValues
  at::Tensor lost_;                   // [size]: by this rank, on the first way
  at::Tensor lost_of_sum_, sum_;      // [part_]
  at::Tensor sent_, arrived_, sums_;  // bytes, one part for each rank
  double total_ = 0;                  // of the factors of what was collected
};

}  // namespace swarmsync
