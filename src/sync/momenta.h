#pragma once

#include "swarmsync/comm/communicator.h"

namespace torch::optim {
class Optimizer;
}

namespace swarmsync {

// The optimizer's momenta (SGD's momentum buffers, Adam's first and second moments) become their mean over
// the ranks that contribute, on all ranks that have some. A rank whose optimizer has none, as before its
// first step, brings nothing, and so does one without an optimizer (nullptr). Counts of steps stay.
// Collective: an all-gather of a number and one all-reduce. Throws CommError when two ranks' momenta differ
// in size.
void AverageMomenta(torch::optim::Optimizer* optimizer, bool contributes, Communicator& comm);

}  // namespace swarmsync
