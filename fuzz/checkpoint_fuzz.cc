// A part of a checkpoint, whose checksum is right, loaded into a state with a piece of each kind.

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/optim/adam.h>

#include "base/digest.h"
#include "checkpoint/object.h"
#include "fuzz/input.h"
#include "swarmsync/checkpoint/checkpoint_directory.h"
#include "swarmsync/checkpoint/state.h"

namespace swarmsync {
namespace {

void Load(const NamedTensors& tensors) {
  StateLoader loader(tensors, "the checkpoint", at::kCPU);
  testing::Object object;
  object.VisitState(loader);
  StateSaver saver;
  object.VisitState(saver);
  StateDigest digest;
  object.VisitState(digest);
}

// Takes the next step too, as what has been loaded is used there.
void LoadOptimizer(const NamedTensors& tensors) {
  at::Tensor weights = at::zeros({3}).requires_grad_();
  torch::optim::Adam optimizer({weights}, torch::optim::AdamOptions(0.1).amsgrad(true));
  StateLoader loader(tensors, "the checkpoint", at::kCPU);
  VisitState(loader, optimizer);
  weights.mutable_grad() = at::ones({3});
  optimizer.step();
}

}  // namespace
}  // namespace swarmsync

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmsync;
  const CheckpointDirectory directory(InputDirectory());
  const std::filesystem::path round = directory.PathOf(1);
  std::filesystem::create_directory(round);
  WriteInput(round / "rank-0-of-1.safetensors", Text(data, size));
  WriteInput(round / "rank-0-of-1.sha256",
             fmt::format("{}  rank-0-of-1.safetensors\n", Sha256Hex(data, size)));
  ReadOrRefuse([&] {
    const NamedTensors tensors = directory.Load({1, 1}, 0).tensors;
    ReadOrRefuse([&] { Load(tensors); });
    ReadOrRefuse([&] { LoadOptimizer(tensors); });
  });
  return 0;
}
