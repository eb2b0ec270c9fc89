#include "data/archive_source.h"

#include <utility>

#include "data/tar.h"
#include "swarmsync/base/error.h"

namespace swarmsync {

std::vector<std::uint8_t> ArchiveSource::Fetch(const DataFile& file, const FetchProgress& progress) {
  if (!failure_.empty()) throw DataError(failure_);
  if (!archive_) {
    try {
      archive_ = FetchArchive(progress);
    } catch (const DataError& error) {
      failure_ = error.what();
      throw;
    }
  }
  return file_in_archive_(*archive_, file);
}

FileInArchive InFolder(std::string folder) {
  return [folder = std::move(folder)](const std::vector<std::uint8_t>& archive, const DataFile& file) {
    return ReadTarMember(archive, folder + file.name, "the archive");
  };
}

}  // namespace swarmsync
