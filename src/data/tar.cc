#include "data/tar.h"

#include <fmt/format.h>

#include <cstddef>
#include <cstring>
#include <string_view>

#include "swarmsync/base/error.h"

// A tar archive is a row of 512-byte blocks: for each member a header, then its bytes, padded to whole
// blocks. Headers carry a checksum of their own; it is not looked at here, as the caller compares the md5 of
// the bytes.

namespace swarmsync {
namespace {

constexpr std::size_t kBlock = 512;

// A text field: up to its first zero byte, or all of it.
std::string_view Field(const std::uint8_t* header, std::size_t offset, std::size_t size) {
  const char* begin = reinterpret_cast<const char*>(header) + offset;
  return {begin, strnlen(begin, size)};
}

std::string MemberName(const std::uint8_t* header) {
  const bool is_ustar = std::memcmp(header + 257, "ustar", 5) == 0;
  const std::string_view prefix = is_ustar ? Field(header, 345, 155) : "";
  const std::string_view name = Field(header, 0, 100);
  return prefix.empty() ? std::string(name) : fmt::format("{}/{}", prefix, name);
}

}  // namespace

std::vector<std::uint8_t> ReadTarMember(const std::vector<std::uint8_t>& archive, const std::string& name,
                                        const std::string& where) {
  std::size_t offset = 0;
  while (archive.size() - offset >= kBlock && archive[offset] != 0) {
    const std::uint8_t* header = archive.data() + offset;
    offset += kBlock;
    std::uint64_t size = 0;
    for (const char digit : Field(header, 124, 12)) {
      if (digit == ' ') continue;
      if (digit < '0' || digit > '7') {
        throw DataError(fmt::format("{}: damaged tar archive: a size that is not octal at byte {}", where,
                                    offset - kBlock + 124));
      }
      size = size * 8 + static_cast<std::uint64_t>(digit - '0');  // at most 12 digits: 36 bits
    }
    if (size > archive.size() - offset) {
      throw DataError(fmt::format("{}: damaged tar archive: member {} has {} bytes, {} are left", where,
                                  MemberName(header), size, archive.size() - offset));
    }
    const bool is_plain_file = header[156] == '0' || header[156] == '\0';
    if (is_plain_file && MemberName(header) == name) {
      const auto begin = archive.begin() + static_cast<std::ptrdiff_t>(offset);
      return {begin, begin + static_cast<std::ptrdiff_t>(size)};
    }
    const std::uint64_t padded = (size + kBlock - 1) / kBlock * kBlock;
    if (padded > archive.size() - offset) break;
    offset += static_cast<std::size_t>(padded);
  }
  throw DataError(fmt::format("{}: no {} in the archive", where, name));
}

}  // namespace swarmsync
