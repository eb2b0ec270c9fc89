#include "train/step_graph.h"

#include <utility>

#include "base/first_line.h"
#include "swarmsync/base/error.h"

#ifdef SWARMSYNC_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <fmt/format.h>

#include <mutex>
#include <string>
#endif

namespace swarmsync {

#ifdef SWARMSYNC_CUDA

namespace {

constexpr std::int64_t kRunsBefore = 3;  // in which libraries make and measure what they keep

}  // namespace

struct StepGraph::Recording {
  explicit Recording(const std::function<at::Tensor()>& work) {
    const std::lock_guard lock(OneAtATime());
    // What the runs before left in the allocator's cache; a recording has memory of its own.
    c10::cuda::CUDACachingAllocator::emptyCache();
    graph = std::make_unique<at::cuda::CUDAGraph>();
    try {
      // Other threads go on; what they do is not recorded.
      graph->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
      result = work();
      graph->capture_end();
    } catch (...) {
      GiveUp();
      throw;
    }
  }

  ~Recording() {
    const std::lock_guard lock(OneAtATime());
    graph.reset();
  }

  std::unique_ptr<at::cuda::CUDAGraph> graph;
  at::Tensor result;

 private:
  // A graph is made and destroyed by one thread at a time: it enters itself into lists of the process, those
  // of libtorch's generator for the GPU among them, which has no lock for that.
  static std::mutex& OneAtATime() {
    static std::mutex mutex;
    return mutex;
  }

  // Ends a recording that has failed. The graph is never destroyed: libtorch has not taken it out of its
  // lists then, and its allocators would look at it.
  void GiveUp() {
    try {
      graph->capture_end();
    } catch (const std::exception&) {  // it follows from what made the recording fail
    }
    static_cast<void>(graph.release());
  }
};

StepGraph::StepGraph(std::function<at::Tensor()> work) : work_(std::move(work)) {}

StepGraph::~StepGraph() = default;

at::Tensor StepGraph::Run() {
  if (runs_++ < kRunsBefore) return work_();
  if (!recording_) {
    try {
      recording_ = std::make_unique<Recording>(work_);
    } catch (const c10::OutOfMemoryError&) {
      throw;
    } catch (const std::exception& error) {
      throw RunError(
          fmt::format("the model's step cannot be recorded as a CUDA graph ({}); give --cuda-graph off",
                      FirstLine(error.what())));
    }
  }
  recording_->graph->replay();
  return recording_->result;
}

#else

struct StepGraph::Recording {};

StepGraph::StepGraph(std::function<at::Tensor()> work) : work_(std::move(work)) {
  throw RunError("this swarmsync was built without CUDA and has no CUDA graphs; give --cuda-graph off");
}

StepGraph::~StepGraph() = default;

at::Tensor StepGraph::Run() { return work_(); }

#endif

}  // namespace swarmsync
