// One call of one kernel, for instructions_test.py to count: kernel NAME SIZE

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "swarm/philox_words.h"
#include "swarmsync/swarm/sketch.h"
#include "swarmsync/swarm/update.h"

namespace {

using namespace swarmsync;
using Floats = std::vector<float>;

void Move(Floats& numbers, Velocity velocity, RandomScope scope, bool personal) {
  const auto size = static_cast<std::int64_t>(numbers.size());
  Floats speed = numbers, start = numbers, guide = numbers, best = numbers;
  ParticleSpan span;
  span.size = size;
  span.weights = numbers.data();
  span.velocity = speed.data();
  if (NeedsStart(velocity)) span.start = start.data();
  if (personal) span.personal_best = best.data();
  span.global_best = guide.data();
  PsoOptions options;
  options.velocity = velocity;
  options.inertia = 0.7;
  options.cognitive = personal ? 0.2 : 0;
  options.social = 0.1;
  options.random = scope;
  MoveParticle(span, options, {Philox(1), scope});
}

const std::map<std::string, std::function<void(Floats&)>> kKernels = {
    {"nothing", [](Floats& numbers) { Floats a = numbers, b = numbers, c = numbers, d = numbers; }},
    {"swarm", [](Floats& n) { Move(n, Velocity::kSwarm, RandomScope::kNone, false); }},
    {"total", [](Floats& n) { Move(n, Velocity::kTotal, RandomScope::kNone, false); }},
    {"nesterov", [](Floats& n) { Move(n, Velocity::kNesterov, RandomScope::kNone, false); }},
    {"total-round", [](Floats& n) { Move(n, Velocity::kTotal, RandomScope::kRound, false); }},
    {"total-element", [](Floats& n) { Move(n, Velocity::kTotal, RandomScope::kElement, false); }},
    {"total-personal", [](Floats& n) { Move(n, Velocity::kTotal, RandomScope::kNone, true); }},
    {"total-element-personal", [](Floats& n) { Move(n, Velocity::kTotal, RandomScope::kElement, true); }},
    {"sketch",
     [](Floats& n) {
       n[0] = static_cast<float>(WeightSketch(n.data(), static_cast<std::int64_t>(n.size())).Norm());
     }},
};

}  // namespace

int main(int argc, char** argv) {
  const auto kernel = argc == 3 ? kKernels.find(argv[1]) : kKernels.end();
  if (kernel == kKernels.end()) {
    std::fprintf(stderr, "usage: kernel NAME SIZE\n");
    return 2;
  }
  Floats numbers(std::strtoul(argv[2], nullptr, 10), 0.5f);
  kernel->second(numbers);
  std::printf("%g\n", numbers[0]);
}
