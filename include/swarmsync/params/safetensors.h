#pragma once

#include <filesystem>

#include "swarmsync/params/weights.h"

namespace swarmsync {

// Writes the file whole or not at all. Format: https://github.com/huggingface/safetensors, an 8-byte
// little-endian header length, a JSON header, the tensors' bytes. The same content gives the same bytes.
// Local. Throws UsageError for a tensor of a type that files of weights do not hold (weights.h), RunError
// when the file cannot be written.
void SaveSafetensors(const std::filesystem::path& path, const WeightsFile& content);

// Reads and checks a file; the tensors own their memory, on the CPU. Local. Throws DataError that names the
// file and what is wrong with it; never reads outside the file, whatever its header says.
WeightsFile LoadSafetensors(const std::filesystem::path& path);

}  // namespace swarmsync
