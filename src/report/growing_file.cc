#include "report/growing_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "swarmsync/base/error.h"

namespace swarmsync {

GrowingFile::GrowingFile(std::filesystem::path path)
    : path_(std::move(path)), stream_(path_, std::ios::app | std::ios::binary) {
  if (!stream_) {
    throw RunError(
        fmt::format("cannot write {}: {}; give another --out", path_.string(), std::strerror(errno)));
  }
}

void GrowingFile::Append(std::string_view record) {
  errno = 0;
  stream_ << record << std::flush;
  if (!stream_) {
    throw RunError(fmt::format("cannot write {}: {}; make room on the disk, or give another --out",
                               path_.string(),
                               std::strerror(errno != 0 ? errno : EIO)));  // 0: it had failed before
  }
}

std::uintmax_t GrowingFile::size() const { return std::filesystem::file_size(path_); }

void ShortenFile(const std::filesystem::path& path, std::uintmax_t size) {
  std::error_code error;
  if (std::filesystem::file_size(path) > size) std::filesystem::resize_file(path, size, error);
  if (error) throw RunError(fmt::format("cannot shorten {}: {}", path.string(), error.message()));
}

}  // namespace swarmsync
