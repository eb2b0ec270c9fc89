#pragma once

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace swarmsync {

// Deflate cannot make data smaller than this: a file that claims more is lying, and no memory is set aside
// for it.
inline constexpr std::uint64_t kMaxGzipRatio = 1032;

// Whether bytes begin as a gzip file does.
bool IsGzip(const std::uint8_t* bytes, std::size_t size);

// Inflates bytes in memory, piece by piece. The bytes are borrowed. Not thread-safe.
class GzipReader {
 public:
  // `where` begins the messages: a path or the name of a source.
  GzipReader(const std::uint8_t* bytes, std::size_t size, std::string where);
  ~GzipReader();
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  // Fills out[0 … size-1]; returns how many bytes there were, fewer than `size` only at the end. Throws
  // DataError when the compression is damaged or ends early.
  std::size_t Read(std::uint8_t* out, std::size_t size);

 private:
  [[noreturn]] void Fail(const std::string& what) const;

  const std::uint8_t* next_;
  std::size_t left_;
  std::string where_;
  z_stream stream_{};
  std::uint64_t num_inflated_ = 0;
  bool at_end_ = false;
};

// The bytes, inflated if they are gzip, copied if not. Throws DataError when damaged or when more than
// `max_size` come out.
std::vector<std::uint8_t> Uncompressed(const std::uint8_t* bytes, std::size_t size, std::uint64_t max_size,
                                       const std::string& where);

}  // namespace swarmsync
