#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace swarmsync {

// Files that are there whole or not at all. All functions are local and throw what `Error` subclass their
// comment names; messages name the path and the system's reason.

// A read-only view of a file's bytes, mapped, so that processes that read the same file share one copy in
// memory. An empty file has size 0. Throws DataError when it cannot be opened.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

// Writes to a temporary name beside `path`; Commit() flushes it to the disk and renames it. Destroyed without
// Commit(), it leaves nothing behind. Throws RunError. Not thread-safe.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void Write(const void* bytes, std::size_t size);
  void Write(std::string_view text) { Write(text.data(), text.size()); }
  void Commit();

 private:
  [[noreturn]] void Fail(const char* what) const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int fd_ = -1;
};

// AtomicFile in one call.
void WriteFileAtomically(const std::filesystem::path& path, std::string_view text);

// The whole file as text. Throws DataError.
std::string ReadFile(const std::filesystem::path& path);

// A directory that only this user can read, with a fresh name under the system's temporary directory, removed
// with what is in it at destruction. Throws RunError.
class PrivateDirectory {
 public:
  PrivateDirectory();
  ~PrivateDirectory();
  PrivateDirectory(const PrivateDirectory&) = delete;
  PrivateDirectory& operator=(const PrivateDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace swarmsync
