// What a GPU computes of a swarm, against the CPU.

#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "gpu/gpu.h"
#include "swarm/device.h"
#include "swarmsync/comm/thread_world.h"
#include "swarmsync/params/flat_params.h"
#include "sync/particle.h"
#include "train/device.h"

namespace swarmsync {
namespace {

using testing::GpuTest;
using testing::kGpu;

// Tensors of many sizes: less than a piece, a whole one, several, one element, none.
class Odd : public torch::nn::Module {
 public:
  Odd() {
    for (const std::int64_t size : {1, 17, 4096, 4097, 0, 12'345, 64, 3}) {
      const std::string name = "p" + std::to_string(parameters().size());
      register_parameter(name, torch::randn({size}));
    }
  }
};

using Case = std::tuple<Velocity, RandomScope, bool, bool>;
class MoveOnGpu : public GpuTest, public ::testing::WithParamInterface<Case> {};

std::string NameOf(const ::testing::TestParamInfo<Case>& info) {
  const auto [velocity, random, to_personal, to_guide] = info.param;
  return std::string(ToString(velocity)) + "_" + std::string(ToString(random)) +
         (to_personal ? "_personal" : "") + (to_guide ? "_guide" : "");
}

INSTANTIATE_TEST_SUITE_P(All, MoveOnGpu,
                         ::testing::Combine(::testing::Values(Velocity::kSwarm, Velocity::kTotal,
                                                              Velocity::kNesterov),
                                            ::testing::Values(RandomScope::kNone, RandomScope::kRound,
                                                              RandomScope::kTensor, RandomScope::kElement),
                                            ::testing::Bool(), ::testing::Bool()),
                         NameOf);

TEST_P(MoveOnGpu, GivesTheBitsOfTheCpu) {
  const auto [velocity, random, to_personal, to_guide] = GetParam();
  torch::manual_seed(3);
  SyncOptions options;
  options.seed = 5;
  options.swarm.velocity = velocity;
  options.swarm.random = random;
  options.swarm.inertia = 0.7;
  options.swarm.cognitive = 0.9;
  options.swarm.social = 1.3;
  const auto comm = ThreadWorld(1).Connect(0);

  Odd here;
  std::vector<at::Tensor> local_steps;
  FlatParams params(here);
  const at::Tensor best = at::randn_like(params.weights()), guide = at::randn_like(params.weights());
  for (int exchange = 0; exchange < 3; ++exchange) local_steps.push_back(at::randn_like(params.weights()));
  Odd there;
  there.to(kGpu);
  FlatParams params_there(there);
  at::Tensor(params_there.weights()).copy_(params.weights());

  Particle particle(params, options, *comm), particle_there(params_there, options, *comm);
  for (std::uint32_t exchange = 0; exchange < 3; ++exchange) {
    const auto move = [&](FlatParams& moved, Particle& mover) {
      const auto at = [&](const at::Tensor& tensor) { return tensor.to(moved.weights().device()); };
      at::Tensor(moved.weights()).add_(at(local_steps[exchange]));
      mover.Move(to_personal ? at(best) : at::Tensor(), to_guide ? at(guide) : at::Tensor(), exchange, 0.5,
                 0.75);
    };
    move(params, particle);
    move(params_there, particle_there);
    for (const FlatParams::Slot& slot : params.slots()) {
      const at::Tensor expected = FlatParams::View(params.weights(), slot);
      EXPECT_TRUE(FlatParams::View(params_there.weights(), slot).cpu().equal(expected)) << slot.name;
    }
  }
}

TEST_F(GpuTest, ASketchIsThatOfTheCpu) {
  for (const std::int64_t size : {0, 1, 2, 31, 255, 256, 257, 6163, 61'706, 1'000'003}) {
    const at::Tensor whole_numbers = at::randint(-50, 51, {size}, at::kFloat);
    const WeightSketch expected(whole_numbers.data_ptr<float>(), size);
    const at::Tensor there = whole_numbers.to(kGpu);
    EXPECT_EQ(SketchOnDevice(there.data_ptr<float>(), size).buckets(), expected.buckets()) << size;
  }
}

TEST_F(GpuTest, ASketchOfWhatIsNotFiniteIsNotFinite) {
  const at::Tensor values = at::zeros({1000}, kGpu);
  values[777].fill_(std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(std::isnan(SketchOnDevice(values.data_ptr<float>(), 1000).Norm()));
}

}  // namespace
}  // namespace swarmsync
