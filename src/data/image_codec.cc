#include "data/image_codec.h"

#include <fmt/format.h>
#include <png.h>
#include <turbojpeg.h>

#include <cstring>
#include <memory>

#include "data/gzip.h"
#include "data/stb_resize.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

constexpr std::int64_t kLongestSide = 65535;
constexpr std::int64_t kMaxPixels = std::int64_t{1} << 28;

// The most pixels that a byte of a file can stand for: in a PNG bits that deflate has made as few as it can;
// in a JPEG no block of 8 x 8 takes less than a bit (but for arithmetic coding, which nobody uses).
constexpr std::int64_t kPngPixelsPerByte = 8 * static_cast<std::int64_t>(kMaxGzipRatio);
constexpr std::int64_t kJpegPixelsPerByte = 8 * 64;

void CheckExtent(ImageExtent extent, const std::string& where) {
  if (extent.height >= 1 && extent.width >= 1 && extent.height <= kLongestSide &&
      extent.width <= kLongestSide && extent.height * extent.width <= kMaxPixels) {
    return;
  }
  throw DataError(fmt::format("{}: implausible size: {} x {} pixels", where, extent.height, extent.width));
}

// Before memory is set aside for what a header claims.
void CheckExtent(ImageExtent extent, std::size_t size, std::int64_t pixels_per_byte,
                 const std::string& where) {
  CheckExtent(extent, where);
  if (extent.height * extent.width / pixels_per_byte <= static_cast<std::int64_t>(size)) return;
  throw DataError(fmt::format("{}: truncated: {} bytes cannot hold its {} x {} pixels", where, size,
                              extent.height, extent.width));
}

bool IsPng(const std::uint8_t* bytes, std::size_t size) { return size >= 8 && png_sig_cmp(bytes, 0, 8) == 0; }
bool IsJpeg(const std::uint8_t* bytes, std::size_t size) {
  return size >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

// libpng's simplified interface on bytes in memory.
class PngReader {
 public:
  PngReader(const std::uint8_t* bytes, std::size_t size, const std::string& where) : where_(where) {
    if (png_image_begin_read_from_memory(&image_.value, bytes, size) == 0) Fail();
    image_.value.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;  // as everybody else takes those of 16 bits
    CheckExtent(extent(), size, kPngPixelsPerByte, where_);
  }

  ImageExtent extent() const { return {image_.value.height, image_.value.width}; }

  void Read(std::uint8_t* pixels) {
    image_.value.format = PNG_FORMAT_RGB;
    const png_color black{0, 0, 0};
    if (png_image_finish_read(&image_.value, &black, pixels, 0, nullptr) == 0) Fail();
  }

 private:
  [[noreturn]] void Fail() const {
    throw DataError(fmt::format("{}: damaged PNG: {}", where_, image_.value.message));
  }

  struct Image {
    Image() { value.version = PNG_IMAGE_VERSION; }
    ~Image() { png_image_free(&value); }
    Image(const Image&) = delete;
    Image& operator=(const Image&) = delete;
    png_image value{};
  };

  Image image_;
  std::string where_;
};

class JpegReader {
 public:
  JpegReader(const std::uint8_t* bytes, std::size_t size, const std::string& where)
      : bytes_(bytes), size_(size), where_(where), handle_(tjInitDecompress()) {
    if (handle_ == nullptr) throw RunError("libjpeg cannot start");
    int width = 0, height = 0, subsampling = 0, colorspace = 0;
    if (tjDecompressHeader3(handle_.get(), bytes_, static_cast<unsigned long>(size_), &width, &height,
                            &subsampling, &colorspace) != 0) {
      Fail();
    }
    // For a file that ends within its header libjpeg has no more than a warning.
    if (height == 0 || width == 0) throw DataError(fmt::format("{}: damaged JPEG: it ends early", where_));
    extent_ = {height, width};
    CheckExtent(extent_, size, kJpegPixelsPerByte, where_);
  }

  ImageExtent extent() const { return extent_; }

  void Read(std::uint8_t* pixels) {
    if (tjDecompress2(handle_.get(), bytes_, static_cast<unsigned long>(size_), pixels,
                      static_cast<int>(extent_.width), 0, static_cast<int>(extent_.height), TJPF_RGB,
                      TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS) != 0) {
      Fail();
    }
  }

 private:
  struct Destroy {
    void operator()(void* handle) const { tjDestroy(handle); }
  };

  [[noreturn]] void Fail() const {
    throw DataError(fmt::format("{}: damaged JPEG: {}", where_, tjGetErrorStr2(handle_.get())));
  }

  const std::uint8_t* bytes_;
  std::size_t size_;
  std::string where_;
  std::unique_ptr<void, Destroy> handle_;
  ImageExtent extent_;
};

// Calls use(reader) with the reader that knows the format.
template <class Use>
auto WithReader(const std::uint8_t* bytes, std::size_t size, const std::string& where, Use use) {
  if (IsPng(bytes, size)) {
    PngReader reader(bytes, size, where);
    return use(reader);
  }
  if (IsJpeg(bytes, size)) {
    JpegReader reader(bytes, size, where);
    return use(reader);
  }
  throw DataError(fmt::format("{}: neither a PNG nor a JPEG file", where));
}

}  // namespace

ImageExtent PeekImage(const std::uint8_t* bytes, std::size_t size, const std::string& where) {
  return WithReader(bytes, size, where, [](auto& reader) { return reader.extent(); });
}

RgbImage DecodeImage(const std::uint8_t* bytes, std::size_t size, const std::string& where) {
  return WithReader(bytes, size, where, [](auto& reader) {
    RgbImage image;
    image.extent = reader.extent();
    image.pixels.resize(static_cast<std::size_t>(image.extent.height * image.extent.width * 3));
    reader.Read(image.pixels.data());
    return image;
  });
}

RgbImage Resize(const RgbImage& image, ImageExtent extent) {
  CheckExtent(extent, "the size to resize images to");  // stb counts bytes in an int
  RgbImage resized;
  resized.extent = extent;
  resized.pixels.resize(static_cast<std::size_t>(extent.height * extent.width * 3));
  const int done = stbir_resize_uint8(image.pixels.data(), static_cast<int>(image.extent.width),
                                      static_cast<int>(image.extent.height), 0, resized.pixels.data(),
                                      static_cast<int>(extent.width), static_cast<int>(extent.height), 0, 3);
  if (done == 0) throw RunError("no memory to resize an image");
  return resized;
}

void ToPlanes(const std::uint8_t* pixels, std::int64_t num_pixels, std::uint8_t* planes) {
  for (std::int64_t i = 0; i < num_pixels; ++i) {
    for (std::int64_t c = 0; c < 3; ++c) planes[c * num_pixels + i] = pixels[3 * i + c];
  }
}

}  // namespace swarmsync
