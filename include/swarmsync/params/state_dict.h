#pragma once

#include <filesystem>

#include "swarmsync/params/weights.h"

namespace swarmsync {

// Writes, whole or not at all, what torch.save(module.state_dict(), FILE) writes since PyTorch 1.6: a zip
// archive of a pickle, which names the tensors, and of their bytes. torch.load() reads it, with
// weights_only=True too. What the metadata hold is in a record of its own, which PyTorch does not look at.
// The same content gives the same bytes. Local. Throws UsageError for a tensor of a type that files of
// weights do not hold (weights.h), RunError when the file cannot be written.
void SaveStateDict(const std::filesystem::path& path, const WeightsFile& content);

// Reads and checks such a file, which PyTorch or SaveStateDict() wrote; the tensors own their memory,
// contiguous, on the CPU, wherever they were. The pickle is read by a machine that knows tensors,
// dictionaries and numbers and never runs code. Local. Throws DataError that names the file, what is wrong
// with it and, where it holds more than a state dict, what to save instead; never reads outside the file, nor
// takes more than some times its size in memory, whatever it says.
WeightsFile LoadStateDict(const std::filesystem::path& path);

}  // namespace swarmsync
