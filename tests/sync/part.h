#pragma once

#include <torch/torch.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "swarmsync/checkpoint/state.h"
#include "sync/worker.h"

namespace swarmsync::testing {

constexpr int kRanks = 3;

struct Variant {
  std::string name;
  std::function<void(SyncOptions&)> change;
  bool for_gradients = true;  // whether ssgd takes it
};

// What algorithms remember more with some options than with others.
inline std::vector<Variant> Variants() {
  return {
      {"plain", [](SyncOptions&) {}},
      {"historic memory, random",
       [](SyncOptions& o) {
         o.swarm.memory = Memory::kHistoric;
         o.swarm.cognitive = 0.5;
         o.swarm.random = RandomScope::kElement;
       }},
      {"auto inertia", [](SyncOptions& o) { o.swarm.inertia = Inertia::Auto(); }},
      {"falling inertia", [](SyncOptions& o) { o.swarm.inertia = Inertia(0.8, 0.2); }},
      {"final average", [](SyncOptions& o) { o.final_average = 3; }},
      {"int8", [](SyncOptions& o) { o.wire = Wire::kInt8; }},
      {"warm-up", [](SyncOptions& o) { o.warmup_steps = 2; }},
      {"warm-up that lasts, int8",
       [](SyncOptions& o) {
         o.warmup_steps = 20;
         o.wire = Wire::kInt8;
       }},
      {"overlap", [](SyncOptions& o) { o.overlap = 2; }, false},
      {"guard", [](SyncOptions& o) { o.guard = true; }, false},
      {"uneven rounds",
       [](SyncOptions& o) {
         o.round_ends = {1, 3, 8, 9, 10, 17, 30, 33, 47, 60};
         o.swarm.inertia = Inertia(0.8, 0.2);
       }},
      {"rates that change",
       [](SyncOptions& o) {
         o.rate = [](std::int64_t step) { return 2 + std::cos(0.3 * static_cast<double>(step)); };
       }},
      {"uneven rounds and rates, looking ahead",
       [](SyncOptions& o) {
         o.swarm.velocity = Velocity::kNesterov;
         o.round_ends = {1, 3, 8, 9, 10, 17, 30, 33, 47, 60};
         o.rate = [](std::int64_t step) { return 2 + std::cos(0.3 * static_cast<double>(step)); };
       }},
      {"momentum of the move", [](SyncOptions& o) { o.momentum_at_sync = MomentumAtSync::kMove; }, false},
      {"momentum of the move, beside an overlap",
       [](SyncOptions& o) {
         o.momentum_at_sync = MomentumAtSync::kMove;
         o.overlap = 2;
       },
       false},
      {"momentum average", [](SyncOptions& o) { o.momentum_at_sync = MomentumAtSync::kAverage; }, false},
  };
}

// One worker: a network, its optimizer, its synchronizer.
class Part {
 public:
  Part(const std::string& name, const Variant& variant, Communicator& comm)
      : comm_(comm), optimizer_(net_.parameters(), torch::optim::SGDOptions(0.1).momentum(0.5)) {
    SyncOptions options;
    options.period = 3;
    options.total_steps = kSteps;
    options.trace = true;
    options.commit = true;
    if (variant.for_gradients || name != "ssgd") variant.change(options);
    sync_ = MakeSynchronizer(name, params_, comm, options);
  }

  static constexpr int kSteps = 60;

  void Step() {
    params_.ZeroGrad();
    const at::Tensor loss = Batch().Loss(net_, sync_->steps(), comm_.rank());
    loss.backward();
    sync_->Step(optimizer_, loss);
  }
  // Takes one that has made no step to where this one is, through what is saved.
  void CopyTo(Part& other) {
    StateSaver saver;
    VisitState(saver);
    StateLoader loader(saver.Take(), "memory", at::kCPU);
    other.VisitState(loader);
  }
  void VisitState(StateVisitor& state) {
    sync_->VisitState(state);
    swarmsync::VisitState(state, optimizer_);
  }
  Synchronizer& sync() { return *sync_; }
  Floats weights() const { return Values(params_, params_.weights()); }
  Floats FinalModel() {
    const at::Tensor out = params_.NewState();
    sync_->WriteFinalModel(out, {});
    return Values(params_, out);
  }

 private:
  static const Batches& Batch() {
    static const Batches batches(kSteps, kRanks, 4);
    return batches;
  }

  Communicator& comm_;
  SmallNet net_;
  FlatParams params_{net_};
  torch::optim::SGD optimizer_;
  std::unique_ptr<Synchronizer> sync_;
};

}  // namespace swarmsync::testing
