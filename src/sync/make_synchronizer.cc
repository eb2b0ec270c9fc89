#include <ATen/ATen.h>
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>

#include "swarmsync/base/error.h"
#include "sync/algorithms.h"

namespace swarmsync {
namespace {

struct Entry {
  const char* name;
  std::unique_ptr<Synchronizer> (*make)(FlatParams&, Communicator&, const SyncOptions&);
};
constexpr Entry kEntries[] = {{"average", MakeAverage}, {"pso-ps", MakePsoPs}, {"ssgd", MakeSsgd}};

const Entry& Find(std::string_view name) {
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return entry;
  }
  throw UsageError(UnknownName("synchronizer", name, SynchronizerNames()));
}

void Validate(const SyncOptions& options) {
  if (options.period < 1)
    throw UsageError(fmt::format("period is {}; it must be at least 1", options.period));
  if (options.total_steps < 0) {
    throw UsageError(fmt::format("total_steps is {}; it must be 0 (unknown) or more", options.total_steps));
  }
  if (options.fitness == Fitness::kProbe && !options.probe) {
    throw UsageError("fitness 'probe' needs a function that evaluates the probe batch");
  }
  Validate(options.swarm);
}

// All that must be the same on every rank, in words.
std::string Describe(std::string_view name, const FlatParams& params, const SyncOptions& options) {
  const PsoOptions& swarm = options.swarm;
  return fmt::format(
      "{} of {} parameters in {} tensors, period {}, total steps {}, seed {}, fitness {}, velocity {}, "
      "inertia {}, "
      "cognitive {}, social {}, random {}, memory {}, memory decay {}",
      name, params.num_params(), params.slots().size(), options.period, options.total_steps, options.seed,
      ToString(options.fitness), ToString(swarm.velocity), swarm.inertia, swarm.cognitive, swarm.social,
      ToString(swarm.random), ToString(swarm.memory), swarm.memory_decay);
}

void CheckAgreement(const std::string& description, Communicator& comm) {
  const std::vector<std::string> all = comm.AllGather(description);
  for (int rank = 1; rank < comm.size(); ++rank) {
    if (all[rank] != all[0]) {
      throw UsageError(
          fmt::format("the workers disagree: rank 0 runs {}; rank {} runs {}; start all with the same "
                      "options",
                      all[0], rank, all[rank]));
    }
  }
}

double Checksum(const at::Tensor& weights) {
  const at::Tensor bytes = weights.cpu();
  const auto* data = static_cast<const Bytef*>(bytes.data_ptr());
  return static_cast<double>(crc32_z(0, data, bytes.nbytes()));
}

void MakeWeightsEqual(const FlatParams& params, Communicator& comm) {
  comm.Broadcast(params.weights(), 0);
  const std::vector<double> sums = comm.AllGather(Checksum(params.weights()));
  for (int rank = 1; rank < comm.size(); ++rank) {
    if (sums[rank] != sums[0]) {
      throw CommError(
          fmt::format("rank {} does not have rank 0's initial weights after the broadcast; check the "
                      "network and the memory of its host",
                      rank));
    }
  }
}

}  // namespace

std::vector<std::string> SynchronizerNames() {
  std::vector<std::string> names;
  for (const Entry& entry : kEntries) names.emplace_back(entry.name);
  return names;
}

std::unique_ptr<Synchronizer> MakeSynchronizer(std::string_view name, FlatParams& params, Communicator& comm,
                                               const SyncOptions& options) {
  const Entry& entry = Find(name);
  Validate(options);
  params.Readopt();
  CheckAgreement(Describe(name, params, options), comm);
  MakeWeightsEqual(params, comm);
  return entry.make(params, comm, options);
}

}  // namespace swarmsync
