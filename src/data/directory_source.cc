#include <fmt/format.h>

#include <optional>
#include <system_error>
#include <utility>

#include "data/gzip.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/data/idx.h"
#include "swarmsync/data/source.h"

namespace swarmsync {
namespace {

class DirectorySource : public DataSource {
 public:
  explicit DirectorySource(DirectorySourceOptions options) : options_(std::move(options)) {}

  std::string Describe() const override { return options_.directory.string(); }

  std::vector<std::uint8_t> Fetch(const DataFile& file, const FetchProgress& progress) override {
    std::error_code ignored;
    if (!std::filesystem::is_directory(options_.directory, ignored)) {
      throw DataError("no such directory" +
                      (options_.package.empty()
                           ? std::string()
                           : fmt::format(" (the package {} makes it)", options_.package)));
    }
    const std::optional<std::filesystem::path> path = FindIdxFile(options_.directory, file.name);
    if (!path) throw DataError(fmt::format("no {} there, nor one with .gz", file.name));
    const MappedFile mapped(*path);
    if (progress)
      progress(static_cast<std::int64_t>(mapped.size()), static_cast<std::int64_t>(mapped.size()));
    return Uncompressed(mapped.data(), mapped.size(), static_cast<std::uint64_t>(file.size), path->string());
  }

 private:
  DirectorySourceOptions options_;
};

}  // namespace

std::unique_ptr<DataSource> MakeDirectorySource(DirectorySourceOptions options) {
  return std::make_unique<DirectorySource>(std::move(options));
}

}  // namespace swarmsync
