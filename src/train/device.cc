#include "train/device.h"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <algorithm>
#include <map>

#include "swarmsync/base/error.h"
#include "swarmsync/comm/gloo.h"

#ifdef SWARMSYNC_CUDA
#include <ATen/cuda/CUDAContext.h>
#endif

namespace swarmsync {
namespace {

constexpr const char* kNoGpu =
    "libtorch sees no GPU here (a build without CUDA, no driver, or CUDA_VISIBLE_DEVICES hides it); give "
    "auto or cpu";

// Whether backward passes of this thread may be made by the threads that libtorch has for each GPU. All
// workers would share one, which then is what they wait for. libtorch 1.13 has no choice.
void AllowSharedBackward([[maybe_unused]] bool allow) {
#if TORCH_VERSION_MAJOR >= 2
  c10::AutogradState::get_tls_state().set_multithreading_enabled(allow);
#endif
}

}  // namespace

std::string ResolveDevice(const std::string& device, const DevicePlace& place) {
  if (device != "auto") return device;
  const bool threads = place.backend == Backend::kThreads;
  const bool enough =
      threads || (place.gpus >= place.workers_here && (place.nccl || place.workers_here == 1));
  return enough && place.gpus > 0 ? "cuda" : "cpu";
}

at::Device DeviceOfWorker(const std::string& device, const DevicePlace& place, int local_rank) {
  if (device == "cpu") return at::kCPU;
  const at::Device asked(device);
  if (place.gpus == 0) throw UsageError(fmt::format("--device is {}, and {}", device, kNoGpu));
  const bool threads = place.backend == Backend::kThreads;
  if (!threads && place.workers_here > 1 && !place.nccl) {
    throw UsageError(
        fmt::format("--device is {}, and this swarmsync was built without NCCL, by which {} processes would "
                    "exchange what is on GPUs; give --backend threads",
                    device, place.workers_here));
  }
  if (asked.has_index()) {
    if (asked.index() >= place.gpus) {
      throw UsageError(fmt::format("--device is {}, and the last GPU here is cuda:{}; give one that is there",
                                   device, place.gpus - 1));
    }
    if (!threads && place.workers_here > 1) {
      throw UsageError(fmt::format(
          "--device is {}, a single GPU, and --backend processes needs one for each of {} workers; "
          "give --backend threads, or --device cuda",
          device, place.workers_here));
    }
    return asked;
  }
  if (threads) return {at::kCUDA, 0};
  if (local_rank >= place.gpus || place.workers_here > place.gpus) {
    throw UsageError(fmt::format(
        "--device is cuda, and --backend processes needs a GPU for each of {} workers; there {} {} "
        "here: give --backend threads, whose workers share one",
        std::max(place.workers_here, local_rank + 1), place.gpus == 1 ? "is" : "are", place.gpus));
  }
  return {at::kCUDA, static_cast<c10::DeviceIndex>(local_rank)};
}

int CountGpus() { return static_cast<int>(torch::cuda::device_count()); }

DevicePlace PlaceOfLocal(const TrainConfig& config) {
  return {config.backend, static_cast<int>(config.workers), CountGpus(), NcclIsBuiltIn()};
}

std::optional<int> GpuOfRank(const std::string& device, int local_rank, int gpus) {
  if (device == "cpu") return std::nullopt;
  const at::Device asked(device == "auto" ? "cuda" : device);
  const int gpu = asked.has_index() ? asked.index() : gpus == 1 ? 0 : local_rank;
  return gpu < gpus ? std::optional(gpu) : std::nullopt;
}

std::string WhyNotOnGpus(const std::vector<std::string>& identities) {
  std::map<std::string, std::size_t> rank_of;
  for (std::size_t rank = 0; rank < identities.size(); ++rank) {
    if (identities[rank].empty()) return fmt::format("rank {} sees no GPU that would be its own", rank);
    const auto [other, first] = rank_of.emplace(identities[rank], rank);
    if (!first) return fmt::format("ranks {} and {} would have the same GPU", other->second, rank);
  }
  return "";
}

std::string IdentityOfGpu([[maybe_unused]] int index) {
#ifdef SWARMSYNC_CUDA
  const auto& uuid = at::cuda::getDeviceProperties(static_cast<c10::DeviceIndex>(index))->uuid;
  return {uuid.bytes, sizeof uuid.bytes};
#else
  return "";
#endif
}

std::string DeviceOfLocal(const TrainConfig& config) {
  const DevicePlace place = PlaceOfLocal(config);
  const std::string device = ResolveDevice(config.device, place);
  DeviceOfWorker(device, place, place.workers_here - 1);
  return device;
}

std::string DescribeGpu([[maybe_unused]] int index) {
#ifdef SWARMSYNC_CUDA
  const cudaDeviceProp* const gpu = at::cuda::getDeviceProperties(static_cast<c10::DeviceIndex>(index));
  return fmt::format("{}, {:.0f} GiB", gpu->name, static_cast<double>(gpu->totalGlobalMem) / (1 << 30));
#else
  return "a GPU that this build cannot use";
#endif
}

DeviceScope::DeviceScope(const at::Device& device) {
  if (device.is_cpu()) return;
  guard_.emplace(c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device));
  AllowSharedBackward(false);
}

DeviceScope::~DeviceScope() {
  if (guard_) AllowSharedBackward(true);
}

at::Device DeviceOf(const torch::nn::Module& module) {
  const std::vector<at::Tensor> parameters = module.parameters();
  return parameters.empty() ? at::kCPU : parameters.front().device();
}

void ExplainOutOfMemory(const std::function<void()>& work) {
  try {
    work();
  } catch (const c10::OutOfMemoryError& error) {
    const std::string what = error.what_without_backtrace();
    const auto sentence = [&](const char* begin) {
      const std::size_t at = what.find(begin);
      return at == std::string::npos ? std::string() : " " + what.substr(at, what.find(". ", at) - at) + ".";
    };
    throw RunError(fmt::format(
        "the GPU's memory is full.{}{} Lower --batch-size or --workers, raise --accumulate, or give "
        "--cuda-graph off",
        sentence("Tried to allocate"), sentence("GPU ")));
  }
}

}  // namespace swarmsync
