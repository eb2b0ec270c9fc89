#include "bench/update.h"

#include <fmt/format.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <vector>

#include "bench/timing.h"
#include "params/plain_parameters.h"
#include "swarmsync/base/error.h"
#include "swarmsync/comm/thread_world.h"
#include "swarmsync/params/flat_params.h"
#include "swarmsync/train/run_worker.h"
#include "sync/particle.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kCognitive = 0.9, kSocial = 1.3, kInertia = 0.7;
constexpr std::uint64_t kDrawsSeed = 1;

// The arrays of a particle as tensors of their own.
struct State {
  at::Tensor weights, velocity, start, personal, global;
};

State NewState(std::int64_t size) {
  const at::Tensor numbers = at::arange(size, at::kFloat);
  const auto wave = [&](double frequency) { return at::sin(numbers * frequency); };
  return {wave(0.1), at::zeros({size}), wave(0.1), wave(0.3), wave(0.7)};
}

using Factors = std::function<at::Tensor(RandomPurpose)>;  // r, of any shape that the state takes

// The equations of update.h, an operation after another.
void Compose(State& state, Velocity velocity, const Factors& factor) {
  const auto pull = [&](double c, RandomPurpose purpose, const at::Tensor& to) {
    return c * factor(purpose) * (to - state.weights);
  };
  const at::Tensor s = pull(kCognitive, RandomPurpose::kCognitive, state.personal) +
                       pull(kSocial, RandomPurpose::kSocial, state.global);
  switch (velocity) {
    case Velocity::kSwarm:
      state.velocity = kInertia * state.velocity + s;
      state.weights = state.weights + state.velocity;
      return;
    case Velocity::kTotal:
      state.velocity = kInertia * state.velocity + (state.weights - state.start) + s;
      state.weights = state.start + state.velocity;
      break;
    case Velocity::kNesterov:
      state.velocity = kInertia * (state.velocity + (state.weights - state.start) + s);
      state.weights = state.weights + s + state.velocity;
      break;
  }
  state.start.copy_(state.weights);
}

// The factors that the kernel draws.
Factors DrawnFactors(RandomScope scope, std::uint32_t exchange, std::int64_t size) {
  return [=](RandomPurpose purpose) {
    if (scope == RandomScope::kNone) return at::ones({});
    const Philox philox(kDrawsSeed);
    if (scope != RandomScope::kElement) return at::full({}, philox.Uniform(0, exchange, 0, purpose));
    const at::Tensor factors = at::empty({size});
    PhiloxStream stream(philox, exchange, 0, purpose);
    for (std::int64_t i = 0; i < size; ++i) factors.data_ptr<float>()[i] = stream.NextUniform();
    return factors;
  };
}

// As many from libtorch's generator, as who composes the update would draw them.
Factors LibtorchFactors(RandomScope scope, std::int64_t size) {
  return [=](RandomPurpose) {
    if (scope == RandomScope::kNone) return at::ones({});
    return scope == RandomScope::kElement ? at::rand({size}) : at::rand({});
  };
}

// A model of one tensor that the kernel moves.
class Moved {
 public:
  Moved(const State& state, Velocity velocity, RandomScope scope)
      : module_({state.weights.numel()}),
        params_(module_),
        comm_(ThreadWorld(1).Connect(0)),
        personal_(Flat(state.personal)),
        global_(Flat(state.global)) {
    weights().copy_(state.weights);
    SyncOptions options;
    options.seed = kDrawsSeed;
    options.swarm.velocity = velocity;
    options.swarm.random = scope;
    options.swarm.inertia = kInertia;
    options.swarm.cognitive = kCognitive;
    options.swarm.social = kSocial;
    particle_ = std::make_unique<Particle>(params_, options, *comm_);
  }

  void Move(std::uint32_t exchange) {
    ForEachBlock(params_.weights().numel(), particle_->Move(personal_, global_, exchange, 0, 1));
  }
  at::Tensor weights() const { return params_.weights().narrow(0, 0, module_.parameters()[0].numel()); }

 private:
  at::Tensor Flat(const at::Tensor& state) const {
    at::Tensor flat = params_.NewState();
    flat.narrow(0, 0, state.numel()).copy_(state);
    return flat;
  }

  PlainParameters module_;
  FlatParams params_;
  std::unique_ptr<Communicator> comm_;
  at::Tensor personal_, global_;
  std::unique_ptr<Particle> particle_;
};

void Triad(const float* b, const float* c, float* a, std::int64_t size) {
  ForEachBlock(size, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) a[i] = b[i] + 3.0f * c[i];
  });
}

// The largest difference between the kernel and the composed equations after two moves with local steps
// between them, so that every term counts.
double ErrorOf(Velocity velocity, RandomScope scope, std::int64_t size) {
  State state = NewState(size);
  Moved moved(state, velocity, scope);
  for (std::uint32_t exchange = 0; exchange < 2; ++exchange) {
    state.weights = state.weights + 0.1 * state.personal;
    moved.weights().add_(0.1 * state.personal);
    moved.Move(exchange);
    Compose(state, velocity, DrawnFactors(scope, exchange, size));
  }
  return (moved.weights() - state.weights).abs().max().item<double>();
}

Json Case(const UpdateBench& bench, Velocity velocity, RandomScope scope) {
  const std::int64_t size = bench.parameters;
  const double error = ErrorOf(velocity, scope, size);
  if (!(error < 1e-5))
    throw RunError(fmt::format("the move with velocity {} and random {} is wrong by {:g}", ToString(velocity),
                               ToString(scope), error));
  State state = NewState(size);
  Moved moved(state, velocity, scope);
  const Factors factors = LibtorchFactors(scope, size);
  const at::Tensor a = at::empty({size}), b = at::ones({size}), c = at::ones({size});
  std::vector<double> fused, composed, triad;
  for (std::int64_t i = -1; i < bench.repetitions; ++i) {  // the first one warms up
    const double one = SecondsOf([&] { moved.Move(static_cast<std::uint32_t>(i + 1)); });
    const double two = SecondsOf([&] { Compose(state, velocity, factors); });
    const double three =
        SecondsOf([&] { Triad(b.data_ptr<float>(), c.data_ptr<float>(), a.data_ptr<float>(), size); });
    if (i < 0) continue;
    fused.push_back(one);
    composed.push_back(two);
    triad.push_back(three);
  }
  const auto bandwidth = [&](int arrays, double seconds) {
    return 4.0 * arrays * static_cast<double>(size) / seconds / 1e9;
  };
  const int arrays = velocity == Velocity::kSwarm ? 6 : 8;  // y, v (and x) read and written, p and g read
  const double of_fused = bandwidth(arrays, Median(fused)), of_triad = bandwidth(3, Median(triad));
  return {{"velocity", ToString(velocity)},
          {"random", ToString(scope)},
          {"milliseconds", Milliseconds(fused)},
          {"gigabytes_per_second", of_fused},
          {"triad_gigabytes_per_second", of_triad},
          {"of_triad", of_fused / of_triad},
          {"composed_milliseconds", Milliseconds(composed)},
          {"times_as_fast_as_composed", Median(composed) / Median(fused)},
          {"error", error}};
}

}  // namespace

Json RunUpdateBench(const UpdateBench& bench) {
  torch::NoGradGuard no_grad;
  UseThreads(static_cast<int>(bench.threads));
  Json result = {{"bench", "update"},         {"parameters", bench.parameters},
                 {"threads", bench.threads},  {"repetitions", bench.repetitions},
                 {"libtorch", TORCH_VERSION}, {"cases", Json::array()}};
  for (const Velocity velocity : {Velocity::kSwarm, Velocity::kTotal, Velocity::kNesterov}) {
    for (const RandomScope scope :
         {RandomScope::kNone, RandomScope::kRound, RandomScope::kTensor, RandomScope::kElement})
      result["cases"].push_back(Case(bench, velocity, scope));
  }
  return result;
}

}  // namespace swarmsync
