#include <ATen/Parallel.h>
#include <dlfcn.h>

#include "swarmsync/train/run_worker.h"

namespace swarmsync {

void UseThreads(int threads) {
  if (threads < 1) return;
  at::set_num_threads(threads);
  // OpenBLAS has threads of its own, which libtorch does not know. It is loaded as the system's BLAS or not
  // at all.
  using SetThreads = void (*)(int);
  const auto set_threads = reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
  if (set_threads != nullptr) set_threads(threads);
}

}  // namespace swarmsync
