#include "swarmsync/train/model_file.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "swarmsync/base/error.h"
#include "swarmsync/params/safetensors.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kKey = "swarmsync";  // safetensors metadata is text by key; ours is JSON under one key

}  // namespace

ModelInput InputOf(const Dataset& data) {
  return {data.shape.channels, data.shape.height, data.shape.width, data.num_classes};
}

void SaveModel(const std::filesystem::path& path, const ImageClassifier& model, const std::string& name,
               const Dataset& data) {
  const Json description = {{"version", 1},
                            {"model", name},
                            {"channels", data.shape.channels},
                            {"height", data.shape.height},
                            {"width", data.shape.width},
                            {"classes", data.num_classes},
                            {"dataset", data.name},
                            {"mean", data.normalization.mean},
                            {"stddev", data.normalization.stddev}};
  SaveSafetensors(path, {StateOf(model), {{kKey, description.dump()}}});
}

std::optional<ModelDescription> DescriptionIn(const WeightsFile& file, const std::filesystem::path& path) {
  const auto found = file.metadata.find(kKey);
  if (found == file.metadata.end()) return std::nullopt;
  ModelDescription saved;
  try {
    const Json json = ParseJson<Json>(found->second);
    saved.name = json.at("model");
    saved.input = {WholeNumber(json.at("channels")), WholeNumber(json.at("height")),
                   WholeNumber(json.at("width")), WholeNumber(json.at("classes"))};
    saved.normalization = {json.at("mean"), json.at("stddev")};
    saved.dataset = json.at("dataset");
  } catch (const Json::exception& error) {
    throw DataError(
        fmt::format("{} describes its model in a way that cannot be read: {}", path.string(), error.what()));
  }
  const ModelInput& input = saved.input;
  for (const std::int64_t extent : {input.channels, input.height, input.width, input.classes}) {
    if (extent < 1 || extent > 65536) {
      throw DataError(fmt::format("{} claims a model for {}x{}x{} images and {} classes", path.string(),
                                  input.channels, input.height, input.width, input.classes));
    }
  }
  const Normalization& normalization = saved.normalization;
  const auto channels = static_cast<std::size_t>(input.channels);
  if (normalization.mean.size() != channels || normalization.stddev.size() != channels ||
      !std::all_of(normalization.stddev.begin(), normalization.stddev.end(), [](float s) { return s > 0; })) {
    throw DataError(fmt::format(
        "{} claims a normalization that cannot be: {} means, {} standard deviations, all above 0, are needed",
        path.string(), channels, channels));
  }
  return saved;
}

SavedModel MakeModel(const ModelDescription& description, const WeightsFile& file,
                     const std::filesystem::path& path, const ModelRegistry& models) {
  SavedModel saved{description, nullptr};
  try {
    saved.model = models.Make(saved.name, saved.input);
  } catch (const UsageError& error) {
    throw DataError(fmt::format("{} cannot be used: {}", path.string(), error.what()));
  }
  CopyInto(*saved.model, file, path);
  return saved;
}

SavedModel LoadModel(const std::filesystem::path& path, const ModelRegistry& models) {
  const WeightsFile file = LoadWeights(path);
  const std::optional<ModelDescription> description = DescriptionIn(file, path);
  if (!description) {
    throw DataError(
        fmt::format("{} does not say which model it holds (no '{}' in its metadata); it was not written "
                    "by swarmsync",
                    path.string(), kKey));
  }
  return MakeModel(*description, file, path, models);
}

}  // namespace swarmsync
