#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "swarmsync/data/dataset.h"
#include "swarmsync/model/registry.h"

namespace swarmsync {

// A model as `train` saves it: safetensors, with what is needed to use it again in the metadata.
struct SavedModel {
  std::string name;  // in the registry
  ModelInput input;
  Normalization normalization;  // of the images it was trained on
  std::string dataset;
  std::shared_ptr<ImageClassifier> model;
};

// Local. Throws RunError.
void SaveModel(const std::filesystem::path& path, const ImageClassifier& model, const std::string& name,
               const Dataset& data);

// Local. Throws DataError when the file is missing, damaged, or holds no model of the registry.
SavedModel LoadModel(const std::filesystem::path& path, const ModelRegistry& models);

}  // namespace swarmsync
