#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace swarmsync {

// A file that grows by whole records; each is on its way to the disk when Append() returns. Not thread-safe.
// Throws RunError.
class GrowingFile {
 public:
  // Goes on with a file that is there.
  explicit GrowingFile(std::filesystem::path path);
  void Append(std::string_view record);

  const std::filesystem::path& path() const { return path_; }
  std::uintmax_t size() const;  // in bytes

 private:
  std::filesystem::path path_;
  std::ofstream stream_;
};

// Forgets what was written behind; a shorter file stays. Throws RunError.
void ShortenFile(const std::filesystem::path& path, std::uintmax_t size);

}  // namespace swarmsync
