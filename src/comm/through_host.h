#pragma once

#include <ATen/ATen.h>

namespace swarmsync {

// For communicators that only take tensors on the CPU: others go through copies there.
template <class AllReduceOnHost>
void AllReduceThroughHost(const at::Tensor& in, const at::Tensor& out, AllReduceOnHost&& all_reduce) {
  if (in.is_cpu()) return all_reduce(in, out);
  const at::Tensor sum = in.cpu();
  all_reduce(sum, sum);
  out.copy_(sum);
}

template <class BroadcastOnHost>
void BroadcastThroughHost(const at::Tensor& inout, BroadcastOnHost&& broadcast) {
  if (inout.is_cpu()) return broadcast(inout);
  const at::Tensor here = inout.cpu();
  broadcast(here);
  inout.copy_(here);
}

}  // namespace swarmsync
