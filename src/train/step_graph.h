#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>

namespace swarmsync {

// A piece of work on a GPU that is the same each time, recorded as a CUDA graph: the first times it is made
// as it is, then once for the record, and from then on the record is played, which costs the processor next
// to nothing. What the work reads and writes must stay where it is; it must not wait for the GPU, and draws
// no random numbers there (libtorch has one generator for all threads). Runs on the calling thread's current
// stream, which must be none that other threads use. After a recording that failed, the process's GPU
// generator cannot be used. Not thread-safe.
class StepGraph {
 public:
  // work: returns the tensor that Run() returns, in memory that the next Run() writes again.
  explicit StepGraph(std::function<at::Tensor()> work);
  ~StepGraph();

  // Throws what `work` throws, and RunError where it cannot be recorded.
  at::Tensor Run();

 private:
  struct Recording;

  std::function<at::Tensor()> work_;
  std::int64_t runs_ = 0;
  std::unique_ptr<Recording> recording_;
};

}  // namespace swarmsync
