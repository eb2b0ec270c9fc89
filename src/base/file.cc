#include "swarmsync/base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sanitizer/asan_interface.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/file_descriptor.h"
#include "base/write_faults.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

WriteFault write_fault;

[[noreturn]] void FailToRead(const std::filesystem::path& path) {
  throw DataError(fmt::format("cannot read {}: {}", path.string(), std::strerror(errno)));
}

// What is mapped of the last page beyond the file. Of what is mapped the address sanitizer knows no ends.
std::size_t SizeBeyond(std::size_t size) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (page - size % page) % page;
}

}  // namespace

void SetWriteFault(WriteFault fault) { write_fault = std::move(fault); }

MappedFile::MappedFile(const std::filesystem::path& path) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status;
  if (file.get() < 0 || fstat(file.get(), &status) != 0) FailToRead(path);
  if (!S_ISREG(status.st_mode)) {
    throw DataError(fmt::format("cannot read {}: it is not a regular file", path.string()));
  }
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;
  void* mapped = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (mapped == MAP_FAILED) FailToRead(path);
  data_ = static_cast<const std::uint8_t*>(mapped);
  ASAN_POISON_MEMORY_REGION(data_ + size_, SizeBeyond(size_));
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  ASAN_UNPOISON_MEMORY_REGION(data_ + size_, SizeBeyond(size_));
  munmap(const_cast<std::uint8_t*>(data_), size_);
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  std::string name = path_.string() + ".XXXXXX";
  errno = write_fault ? write_fault(path_) : 0;
  if (errno == 0) fd_ = mkostemp(name.data(), O_CLOEXEC);
  temporary_ = name;
  if (fd_ < 0) Fail("create");
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(temporary_.c_str());
}

void AtomicFile::Fail(const char* what) const {
  throw RunError(fmt::format("cannot {} {}: {}", what, path_.string(), std::strerror(errno)));
}

void AtomicFile::Write(const void* bytes, std::size_t size) {
  const char* next = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t written = write(fd_, next, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) Fail("write");
    next += written;
    size -= static_cast<std::size_t>(written);
  }
}

void AtomicFile::Commit() {
  const mode_t mask = umask(0);  // mkstemp makes a file for its owner alone; give it the usual mode
  umask(mask);
  if (fchmod(fd_, 0666 & ~mask) != 0 || fsync(fd_) != 0) Fail("flush");
  if (rename(temporary_.c_str(), path_.c_str()) != 0) Fail("rename to");
  close(fd_);
  fd_ = -1;
  const std::filesystem::path parent = path_.has_parent_path() ? path_.parent_path() : ".";
  const FileDescriptor directory(open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) fsync(directory.get());
}

void WriteFileAtomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.Write(text);
  file.Commit();
}

std::string ReadFile(const std::filesystem::path& path) {
  const MappedFile file(path);
  return {reinterpret_cast<const char*>(file.data()), file.size()};
}

PrivateDirectory::PrivateDirectory() {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::temp_directory_path(error);
  std::string name = (error ? std::filesystem::path("/tmp") : parent) / "swarmsync-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) {
    throw RunError(
        fmt::format("cannot create a private directory like {}: {}; set TMPDIR to a writable place", name,
                    std::strerror(errno)));
  }
  path_ = name;
}

PrivateDirectory::~PrivateDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace swarmsync
