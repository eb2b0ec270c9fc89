#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace swarmsync {

// The calling thread's current stream of a device that is not the CPU.
inline c10::Stream CurrentStream(const c10::Device& device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device);
}

// Returns when all that the calling thread has enqueued on the tensor's device is done.
inline void WaitForDevice(const at::Tensor& tensor) {
  if (!tensor.is_cpu()) CurrentStream(tensor.device()).synchronize();
}

}  // namespace swarmsync
