#include "swarmsync/data/dataset.h"

#include <fmt/format.h>

#include <cstdlib>
#include <string_view>
#include <utility>

#include "swarmsync/base/error.h"
#include "swarmsync/base/names.h"
#include "swarmsync/data/catalog.h"
#include "swarmsync/data/idx.h"

namespace swarmsync {
namespace {

constexpr std::string_view kIdxPrefix = "idx:";

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

Dataset Assemble(const std::string& name, std::int64_t num_classes, Normalization normalization,
                 IdxDirectory directory) {
  Dataset dataset;
  dataset.name = name;
  dataset.num_classes = num_classes;
  dataset.train = MakeImageSet(std::move(directory.train), normalization);
  dataset.test = MakeImageSet(std::move(directory.test), normalization);
  dataset.normalization = std::move(normalization);
  dataset.shape = dataset.train->shape();
  return dataset;
}

Dataset OpenKnown(const CatalogEntry& entry, const std::filesystem::path& data_dir,
                  const std::optional<Normalization>& normalization) {
  const std::filesystem::path dir = data_dir / entry.name;
  for (const DataFile& file : entry.files) {
    if (FindIdxFile(dir, file.name)) continue;
    throw DataError(fmt::format("the data set {} is not in {} (no {}); {} gets it", entry.name, dir.string(),
                                file.name, GetCommand(entry.name, data_dir)));
  }
  try {
    IdxDirectory directory = ReadIdxDirectory(dir);
    CheckLabels(*directory.train.labels, entry.num_classes);
    CheckLabels(*directory.test.labels, entry.num_classes);
    return Assemble(entry.name, entry.num_classes, normalization.value_or(entry.normalization),
                    std::move(directory));
  } catch (const DataError& error) {
    throw DataError(
        fmt::format("{}; {} replaces damaged files", error.what(), GetCommand(entry.name, data_dir)));
  }
}

Dataset OpenIdxDirectory(const std::string& name, const std::filesystem::path& dir,
                         const std::optional<Normalization>& normalization) {
  try {
    IdxDirectory directory = ReadIdxDirectory(dir);
    const std::int64_t num_classes = CountClasses(*directory.train.labels);
    CheckLabels(*directory.test.labels, num_classes);
    Normalization applied = normalization ? *normalization : ComputeNormalization(*directory.train.images);
    return Assemble(name, num_classes, std::move(applied), std::move(directory));
  } catch (const DataError& error) {
    throw DataError(fmt::format("{}; {} needs {}, {}, {} and {}, sound and of one data set", error.what(),
                                name, kIdxTrainImages, kIdxTrainLabels, kIdxTestImages, kIdxTestLabels));
  }
}

}  // namespace

std::string ToString(const ImageShape& shape) {
  return fmt::format("{}x{}x{}", shape.channels, shape.height, shape.width);
}

Dataset OpenDataset(const std::string& name, const std::filesystem::path& data_dir,
                    const std::optional<Normalization>& normalization) {
  if (name.compare(0, kIdxPrefix.size(), kIdxPrefix) == 0) {
    if (name.size() == kIdxPrefix.size()) {
      throw UsageError("the dataset 'idx:' names no directory: write idx:DIR");
    }
    return OpenIdxDirectory(name, name.substr(kIdxPrefix.size()), normalization);
  }
  for (const CatalogEntry& entry : Catalog()) {
    if (entry.name == name) return OpenKnown(entry, data_dir, normalization);
  }
  throw UsageError(UnknownName("dataset", name, DatasetNames()));
}

std::vector<std::string> DatasetNames() {
  std::vector<std::string> names;
  for (const CatalogEntry& entry : Catalog()) names.push_back(entry.name);
  names.emplace_back("idx:DIR");
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
