#pragma once

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace swarmsync {

// The bytes with right checksums of all chunks, if they are a PNG file, as no fuzzer finds them.
inline std::vector<std::uint8_t> WithPngChecksums(std::vector<std::uint8_t> bytes, std::size_t begin = 0) {
  constexpr std::uint8_t kSignature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  constexpr std::size_t kFrame = 12;  // length, type; checksum
  if (bytes.size() < begin + 8 || !std::equal(kSignature, kSignature + 8, bytes.data() + begin)) return bytes;
  std::size_t at = begin + 8;
  while (bytes.size() - at >= kFrame) {
    std::uint8_t* chunk = bytes.data() + at;
    const std::size_t length = std::size_t{chunk[0]} << 24 | chunk[1] << 16 | chunk[2] << 8 | chunk[3];
    if (length > bytes.size() - at - kFrame) break;
    const uLong sum = crc32_z(0, chunk + 4, length + 4);
    for (int i = 0; i < 4; ++i) chunk[8 + length + i] = static_cast<std::uint8_t>(sum >> (24 - 8 * i));
    at += kFrame + length;
  }
  return bytes;
}

}  // namespace swarmsync
