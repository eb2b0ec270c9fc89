#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace swarmsync {

// A read-only view of a file's bytes, mapped, so that processes that read the same file share one copy in
// memory. Local. May be read from any thread.
class MappedFile {
 public:
  // Maps all of a regular file. Throws DataError with the path and the system's reason when it cannot.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // [size()], as long as this lives; null for an empty file.
  const std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }  // in bytes; 0 for an empty file

 private:
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

// Makes a file that is there whole or not at all: it is written under a temporary name beside its path, which
// Commit() renames. Destroyed without Commit(), it leaves nothing behind. Local; not thread-safe. What fails
// throws RunError with the path and the system's reason.
class AtomicFile {
 public:
  // Creates the temporary file. path: the final one, in a directory that exists.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Appends to the temporary file.
  void Write(const void* bytes, std::size_t size);
  // Appends a text, without its end.
  void Write(std::string_view text) { Write(text.data(), text.size()); }
  // Flushes what was written to the disk and gives it its path, in place of a file that is there. The last
  // call.
  void Commit();

 private:
  [[noreturn]] void Fail(const char* what) const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int fd_ = -1;
};

// AtomicFile in one call. Throws RunError.
void WriteFileAtomically(const std::filesystem::path& path, std::string_view text);

// The whole file as text. Throws DataError.
std::string ReadFile(const std::filesystem::path& path);

// A directory that only this user can read, with a fresh name under the system's temporary directory, removed
// with what is in it at destruction. Throws RunError.
class PrivateDirectory {
 public:
  // Creates it, empty.
  PrivateDirectory();
  ~PrivateDirectory();
  PrivateDirectory(const PrivateDirectory&) = delete;
  PrivateDirectory& operator=(const PrivateDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }  // as long as this lives

 private:
  std::filesystem::path path_;
};

}  // namespace swarmsync
