#include "data/gzip.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

constexpr int kExpectGzipHeader = 16 + MAX_WBITS;
constexpr std::size_t kMaxPiece = std::size_t{1} << 30;  // zlib counts in 32 bits

}  // namespace

bool IsGzip(const std::uint8_t* bytes, std::size_t size) {
  return size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

GzipReader::GzipReader(const std::uint8_t* bytes, std::size_t size, std::string where)
    : next_(bytes), left_(size), where_(std::move(where)) {
  if (inflateInit2(&stream_, kExpectGzipHeader) != Z_OK) throw RunError("zlib cannot start: out of memory");
}

GzipReader::~GzipReader() { inflateEnd(&stream_); }

void GzipReader::Fail(const std::string& what) const {
  throw DataError(fmt::format("{}: damaged gzip: {} after {} inflated bytes", where_, what, num_inflated_));
}

std::size_t GzipReader::Read(std::uint8_t* out, std::size_t size) {
  std::size_t num_read = 0;
  while (num_read < size && !at_end_) {
    stream_.next_in = const_cast<std::uint8_t*>(next_);  // zlib does not write there
    stream_.avail_in = static_cast<uInt>(std::min(left_, kMaxPiece));
    stream_.next_out = out + num_read;
    stream_.avail_out = static_cast<uInt>(std::min(size - num_read, kMaxPiece));
    const int result = inflate(&stream_, Z_NO_FLUSH);
    const std::size_t consumed = static_cast<std::size_t>(stream_.next_in - next_);
    const std::size_t produced = static_cast<std::size_t>(stream_.next_out - (out + num_read));
    next_ += consumed;
    left_ -= consumed;
    num_read += produced;
    num_inflated_ += produced;
    if (result == Z_STREAM_END) {
      // A gzip file may be several, one after another; padding with zeros is usual on some media.
      if (IsGzip(next_, left_)) {
        inflateReset(&stream_);
      } else if (std::all_of(next_, next_ + left_, [](std::uint8_t byte) { return byte == 0; })) {
        at_end_ = true;
      } else {
        Fail(fmt::format("{} bytes follow its end", left_));
      }
    } else if (result == Z_MEM_ERROR) {
      throw RunError(where_ + ": cannot inflate: out of memory");
    } else if (left_ == 0 && (result == Z_OK || result == Z_BUF_ERROR) && produced == 0) {
      Fail("it ends early");
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      Fail(stream_.msg != nullptr ? stream_.msg : "it makes no sense");
    }
  }
  return num_read;
}

std::vector<std::uint8_t> Uncompressed(const std::uint8_t* bytes, std::size_t size, std::uint64_t max_size,
                                       const std::string& where) {
  if (!IsGzip(bytes, size)) {
    if (size > max_size) {
      throw DataError(fmt::format("{}: {} bytes, where at most {} can be right", where, size, max_size));
    }
    return {bytes, bytes + size};
  }
  GzipReader reader(bytes, size, where);
  std::vector<std::uint8_t> inflated;
  constexpr std::size_t kStep = std::size_t{1} << 22;
  while (true) {
    const std::size_t before = inflated.size();
    inflated.resize(before + kStep);
    const std::size_t num_read = reader.Read(inflated.data() + before, kStep);
    inflated.resize(before + num_read);
    if (inflated.size() > max_size) {
      throw DataError(
          fmt::format("{}: inflates to more than {} bytes, the most that can be right", where, max_size));
    }
    if (num_read < kStep) return inflated;
  }
}

}  // namespace swarmsync
