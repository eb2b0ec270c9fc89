#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "swarmsync/data/source.h"

namespace swarmsync {

inline constexpr std::uint64_t kMaxArchive = std::uint64_t{1} << 30;  // bytes, compressed or not

// A source whose files are all in one archive, which is fetched once; so is the reason why it cannot be had.
class ArchiveSource : public DataSource {
 public:
  std::vector<std::uint8_t> Fetch(const DataFile& file, const FetchProgress& progress) override;

 protected:
  explicit ArchiveSource(FileInArchive file_in_archive) : file_in_archive_(std::move(file_in_archive)) {}

 private:
  // The archive, inflated. Throws DataError.
  virtual std::vector<std::uint8_t> FetchArchive(const FetchProgress& progress) = 0;

  FileInArchive file_in_archive_;
  std::optional<std::vector<std::uint8_t>> archive_;
  std::string failure_;
};

}  // namespace swarmsync
