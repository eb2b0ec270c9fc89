#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "swarmsync/model/registry.h"

namespace swarmsync {

// What stands before the file in the name of such a model.
inline constexpr std::string_view kTorchScriptPrefix = "torchscript:";

// A TorchScript module from a file that torch.jit.save() wrote, from images [N, C, H, W] to logits [N,
// classes]. Its parameters and buffers keep their names. It begins at the weights of the file. Throws
// DataError when the file is missing or damaged, has no parameters, a parameter under two names, or does not
// give one output for each class.
std::shared_ptr<ImageClassifier> LoadTorchScript(const std::string& path, const ModelInput& input);

}  // namespace swarmsync
