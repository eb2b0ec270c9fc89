#include "swarmsync/data/dataset.h"

#include <fmt/format.h>

#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "data/byte_images.h"
#include "data/cifar.h"
#include "data/idx_images.h"
#include "data/image_folder.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/names.h"
#include "swarmsync/data/catalog.h"
#include "swarmsync/data/idx.h"

namespace swarmsync {
namespace {

const char* NonEmptyVariable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

// Empty when the environment does not say.
std::filesystem::path DataDirOfEnvironment() {
  if (const char* dir = NonEmptyVariable("SWARMSYNC_DATA_DIR")) return dir;
  if (const char* dir = NonEmptyVariable("XDG_DATA_HOME")) {
    if (std::filesystem::path(dir).is_absolute()) return std::filesystem::path(dir) / "swarmsync";
  }
  if (const char* home = NonEmptyVariable("HOME"))
    return std::filesystem::path(home) / ".local/share/swarmsync";
  return {};
}

// The command that a user can paste.
std::string GetCommand(const std::string& name, const std::filesystem::path& data_dir) {
  const std::string where =
      data_dir == DataDirOfEnvironment() ? "" : fmt::format(" --data-dir {}", data_dir.string());
  return fmt::format("`swarmsync data get {}{}`", name, where);
}

// What the readers of all layouts give.
struct ByteSplits {
  std::shared_ptr<const ByteImages> train;
  std::shared_ptr<const ByteImages> test;
};

Dataset Assemble(const std::string& name, std::int64_t num_classes, ByteSplits splits,
                 Normalization normalization) {
  Dataset dataset;
  dataset.name = name;
  dataset.num_classes = num_classes;
  dataset.shape = splits.train->shape();
  dataset.train = MakeImageSet(std::move(splits.train), normalization);
  dataset.test = MakeImageSet(std::move(splits.test), normalization);
  dataset.normalization = std::move(normalization);
  return dataset;
}

ByteSplits ReadIdx(const std::filesystem::path& dir) {
  IdxDirectory directory = ReadIdxDirectory(dir);
  return {BytesOf(std::move(directory.train)), BytesOf(std::move(directory.test))};
}

ByteSplits ReadCifar(const std::filesystem::path& dir) {
  CifarDirectory directory = ReadCifarDirectory(dir);
  return {std::move(directory.train), std::move(directory.test)};
}

bool HasNormalization(const DatasetOptions& options, const ByteSplits& splits) {
  const auto channels = static_cast<std::size_t>(splits.train->shape().channels);
  return options.normalization && options.normalization->mean.size() == channels;
}

Normalization Applied(const DatasetOptions& options, const ByteSplits& splits) {
  return HasNormalization(options, splits) ? *options.normalization : ComputeNormalization(*splits.train);
}

Dataset OpenKnown(const CatalogEntry& entry, const std::filesystem::path& data_dir,
                  const DatasetOptions& options) {
  const std::filesystem::path dir = data_dir / entry.name;
  for (const DataFile& file : entry.files) {
    if (FindIdxFile(dir, file.name)) continue;
    throw DataError(fmt::format("the data set {} is not in {} (no {}); {} gets it", entry.name, dir.string(),
                                file.name, GetCommand(entry.name, data_dir)));
  }
  try {
    ByteSplits splits = entry.layout == DatasetLayout::kIdx ? ReadIdx(dir) : ReadCifar(dir);
    CheckLabels(*splits.train, entry.num_classes);
    CheckLabels(*splits.test, entry.num_classes);
    Normalization normalization =
        HasNormalization(options, splits) ? *options.normalization : entry.normalization;
    return Assemble(entry.name, entry.num_classes, std::move(splits), std::move(normalization));
  } catch (const DataError& error) {
    throw DataError(
        fmt::format("{}; {} replaces damaged files", error.what(), GetCommand(entry.name, data_dir)));
  }
}

Dataset OpenIdxDirectory(const std::string& name, const std::filesystem::path& dir,
                         const DatasetOptions& options) {
  try {
    ByteSplits splits = ReadIdx(dir);
    const std::int64_t num_classes = CountClasses(*splits.train);
    CheckLabels(*splits.test, num_classes);
    Normalization normalization = Applied(options, splits);
    return Assemble(name, num_classes, std::move(splits), std::move(normalization));
  } catch (const DataError& error) {
    throw DataError(fmt::format("{}; {} needs {}, {}, {} and {}, sound and of one data set", error.what(),
                                name, kIdxTrainImages, kIdxTrainLabels, kIdxTestImages, kIdxTestLabels));
  }
}

Dataset OpenCifarDirectory(const std::string& name, const std::filesystem::path& dir,
                           const DatasetOptions& options) {
  try {
    ByteSplits splits = ReadCifar(dir);
    Normalization normalization = Applied(options, splits);
    return Assemble(name, kCifarClasses, std::move(splits), std::move(normalization));
  } catch (const DataError& error) {
    throw DataError(
        fmt::format("{}; {} needs {} (and perhaps more of them) and {} in CIFAR-10's binary layout",
                    error.what(), name, CifarTrainFile(1), kCifarTest));
  }
}

Dataset OpenImageFolder(const std::string& name, const std::filesystem::path& dir,
                        const DatasetOptions& options) {
  std::optional<ImageExtent> extent;
  if (options.shape) extent = ImageExtent{options.shape->height, options.shape->width};
  ImageFolder folder = ReadImageFolder(dir, extent);
  ByteSplits splits{std::move(folder.train), std::move(folder.test)};
  Normalization normalization = Applied(options, splits);
  Dataset dataset = Assemble(name, static_cast<std::int64_t>(folder.classes.size()), std::move(splits),
                             std::move(normalization));
  dataset.skipped = std::move(folder.skipped);
  return dataset;
}

// A name that is PREFIX:DIR.
struct DirectoryKind {
  std::string_view prefix;
  Dataset (*open)(const std::string& name, const std::filesystem::path& dir, const DatasetOptions& options);
};
constexpr DirectoryKind kDirectoryKinds[] = {
    {"idx:", OpenIdxDirectory}, {"cifar:", OpenCifarDirectory}, {"images:", OpenImageFolder}};

}  // namespace

std::string ToString(const ImageShape& shape) {
  return fmt::format("{}x{}x{}", shape.channels, shape.height, shape.width);
}

Dataset OpenDataset(const std::string& name, const std::filesystem::path& data_dir,
                    const DatasetOptions& options) {
  for (const auto& [prefix, open] : kDirectoryKinds) {
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    if (name.size() == prefix.size()) {
      throw UsageError(fmt::format("the dataset '{0}' names no directory: write {0}DIR", prefix));
    }
    return open(name, name.substr(prefix.size()), options);
  }
  for (const CatalogEntry& entry : Catalog()) {
    if (entry.name == name) return OpenKnown(entry, data_dir, options);
  }
  throw UsageError(UnknownName("dataset", name, DatasetNames()));
}

std::vector<std::string> DatasetNames() {
  std::vector<std::string> names;
  for (const CatalogEntry& entry : Catalog()) names.push_back(entry.name);
  for (const DirectoryKind& kind : kDirectoryKinds) names.push_back(fmt::format("{}DIR", kind.prefix));
  return names;
}

std::filesystem::path DefaultDataDir() {
  std::filesystem::path dir = DataDirOfEnvironment();
  if (dir.empty()) {
    throw UsageError("where data sets are kept is not known, as HOME is not set: set SWARMSYNC_DATA_DIR");
  }
  return dir;
}

}  // namespace swarmsync
