#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "swarmsync/data/dataset.h"
#include "swarmsync/model/registry.h"
#include "swarmsync/params/weights.h"

namespace swarmsync {

// What is needed to use saved weights again, which `train` writes into the metadata of their file.
struct ModelDescription {
  std::string name;             // in the registry
  ModelInput input;             // what it was made for
  Normalization normalization;  // of the images it was trained on
  std::string dataset;          // that it was trained on, as OpenDataset() takes it
};

// A model that can be used again.
struct SavedModel : ModelDescription {
  std::shared_ptr<ImageClassifier> model;  // on the CPU, with its weights
};

// What a model for these data is made for.
ModelInput InputOf(const Dataset& data);

// Writes it as safetensors, with its description in the metadata. Local. Throws RunError.
void SaveModel(const std::filesystem::path& path, const ImageClassifier& model, const std::string& name,
               const Dataset& data);

// What a file says of its model; nothing where it says nothing, as those that PyTorch wrote. path: of the
// file, for errors. Local. Throws DataError for a description that cannot be read or makes no sense.
std::optional<ModelDescription> DescriptionIn(const WeightsFile& file, const std::filesystem::path& path);

// The model of a description with the file's weights. Local. Throws DataError when it is not of the registry
// or they do not fit.
SavedModel MakeModel(const ModelDescription& description, const WeightsFile& file,
                     const std::filesystem::path& path, const ModelRegistry& models);

// A model from a file that says which it is. Local. Throws DataError when the file is missing or damaged or
// does not, and as the two above.
SavedModel LoadModel(const std::filesystem::path& path, const ModelRegistry& models);

}  // namespace swarmsync
