// A model file, also copied into a module.

#include <torch/nn/modules/linear.h>

#include "fuzz/input.h"
#include "swarmsync/params/safetensors.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmsync;
  const std::filesystem::path path = WriteInput("model.safetensors", Text(data, size));
  ReadOrRefuse([&] {
    const WeightsFile file = LoadSafetensors(path);
    for (const auto& [name, tensor] : file.tensors) Touch(tensor.data_ptr(), tensor.nbytes());
    static torch::nn::Linear module(2, 2);
    CopyInto(*module, file, path);
  });
  return 0;
}
