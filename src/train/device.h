#pragma once

#include <c10/core/Device.h>
#include <c10/core/StreamGuard.h>
#include <torch/nn/module.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "swarmsync/train/config.h"

namespace swarmsync {

// Where the workers of a run can be.
struct DevicePlace {
  Backend backend = Backend::kProcesses;
  int workers_here = 1;  // workers on this machine, as far as it is known
  int gpus = 0;          // GPUs on this machine that libtorch can use
  bool nccl = true;      // whether processes can exchange what is on a GPU
};

// "cpu" or "cuda" for --device auto: a GPU, where there is one for all threads or one for each process;
// anything else is returned as it is. Pure.
std::string ResolveDevice(const std::string& device, const DevicePlace& place);

// The device of a worker under --device `device`, which is resolved: threads share a GPU, each process has
// its own. Throws UsageError where that one is not there. Pure.
at::Device DeviceOfWorker(const std::string& device, const DevicePlace& place, int local_rank);

// How many GPUs libtorch can use here; 0 in a build without CUDA.
int CountGpus();

// The place of workers that this machine has all of.
DevicePlace PlaceOfLocal(const TrainConfig& config);

// The GPU that a rank of a launched job would have: the one that was asked for, else its own by local rank,
// or the only one that it sees. nullopt: there is none. Pure.
std::optional<int> GpuOfRank(const std::string& device, int local_rank, int gpus);

// Why launched ranks cannot train on GPUs, or "". identities: of each rank's GPU, "" where it has none. Pure.
std::string WhyNotOnGpus(const std::vector<std::string>& identities);

// Tells GPU `index` here from all others of the world.
std::string IdentityOfGpu(int index);

// The resolved --device of such workers. Throws what DeviceOfWorker() would throw for one of them.
std::string DeviceOfLocal(const TrainConfig& config);

// "NVIDIA H200, 140 GiB", of GPU `index` here.
std::string DescribeGpu(int index);

// While it lives, what the calling thread does on that device, if it is a GPU, goes to a stream of its own,
// and its backward passes are made by this thread and not by one that all share.
class DeviceScope {
 public:
  static constexpr int kStreams = 32;  // that libtorch has for a GPU; more threads than that share some

  explicit DeviceScope(const at::Device& device);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  std::optional<c10::StreamGuard> guard_;
};

// The device of a module's parameters; the CPU for one that has none.
at::Device DeviceOf(const torch::nn::Module& module);

// What libtorch says of a GPU that has too little memory becomes a RunError of one line; what else `work`
// throws passes.
void ExplainOutOfMemory(const std::function<void()>& work);

}  // namespace swarmsync
