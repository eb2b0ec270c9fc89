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

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

// What a safetensors file holds: tensors by name, in the file's order, and free text by key.
struct WeightsFile {
  NamedTensors tensors;
  std::map<std::string, std::string> metadata;
};

// The parameters and buffers of a module by name, as saved and loaded. The tensors are the module's own.
NamedTensors StateOf(const torch::nn::Module& module);

// Writes the file whole or not at all. Format: https://github.com/huggingface/safetensors, an 8-byte
// little-endian header length, a JSON header, the tensors' bytes. The same content gives the same bytes.
// Local. Throws RunError when it cannot be written.
void SaveSafetensors(const std::filesystem::path& path, const WeightsFile& content);

// Reads and checks a file; the tensors own their memory, on the CPU. Local. Throws DataError that names the
// file and what is wrong with it; never reads outside the file, whatever its header says.
WeightsFile LoadSafetensors(const std::filesystem::path& path);

// Copies the file's tensors into the module's, which must match name by name and shape by shape.
// Throws DataError that names the first tensor that does not fit; then nothing has been copied.
void CopyInto(torch::nn::Module& module, const WeightsFile& content, const std::filesystem::path& path);

}  // namespace swarmsync
