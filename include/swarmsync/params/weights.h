#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace torch::nn {
class Module;
}

namespace swarmsync {

// Tensors by name, in the order of a file or of a module.
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

// What a file of weights holds: tensors by name, in the file's order, and free text by key. The formats are
// safetensors (safetensors.h) and PyTorch's state dict (state_dict.h).
struct WeightsFile {
  NamedTensors tensors;                         // when loaded: on the CPU, in memory of their own
  std::map<std::string, std::string> metadata;  // empty where there is none
};

// Reads a file of either format, which its first bytes tell, whatever its name is. Local. Throws DataError
// that names the file and what is wrong with it, as the readers of the formats do.
WeightsFile LoadWeights(const std::filesystem::path& path);

// The parameters and buffers of a module by name, as saved and loaded. The tensors are the module's own.
NamedTensors StateOf(const torch::nn::Module& module);

// Copies the file's tensors into the module's, which must match name by name and shape by shape; another type
// is converted. Throws DataError that names the first tensor that does not fit; then nothing has been copied.
void CopyInto(torch::nn::Module& module, const WeightsFile& content, const std::filesystem::path& path);

}  // namespace swarmsync
