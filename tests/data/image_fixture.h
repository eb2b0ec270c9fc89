#pragma once

#include <png.h>
#include <turbojpeg.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace swarmsync {

// The bytes of image files, for tests. pixels: [height, width, channels], with 1 (gray), 3 or, for PNG, 4
// (with transparency) channels.

inline std::string PngBytes(int height, int width, int channels, const std::vector<std::uint8_t>& pixels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.height = static_cast<png_uint_32>(height);
  image.width = static_cast<png_uint_32>(width);
  image.format = channels == 1 ? PNG_FORMAT_GRAY : channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_RGBA;
  png_alloc_size_t size = 0;
  png_image_write_to_memory(&image, nullptr, &size, 0, pixels.data(), 0, nullptr);
  std::string bytes(size, '\0');
  if (png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels.data(), 0, nullptr) == 0) {
    throw std::runtime_error("png_image_write_to_memory");
  }
  bytes.resize(size);
  return bytes;
}

inline std::string JpegBytes(int height, int width, int channels, const std::vector<std::uint8_t>& pixels) {
  tjhandle handle = tjInitCompress();
  unsigned char* out = nullptr;
  unsigned long size = 0;
  const int failed =
      tjCompress2(handle, pixels.data(), width, 0, height, channels == 1 ? TJPF_GRAY : TJPF_RGB, &out, &size,
                  channels == 1 ? TJSAMP_GRAY : TJSAMP_444, 100, 0);
  std::string bytes(reinterpret_cast<char*>(out), failed ? 0 : size);
  tjFree(out);
  tjDestroy(handle);
  if (failed) throw std::runtime_error("tjCompress2");
  return bytes;
}

}  // namespace swarmsync
