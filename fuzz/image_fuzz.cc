// PNG and JPEG. The last two bytes are also the size that the image is brought to.

#include "data/image_codec.h"
#include "fuzz/input.h"
#include "fuzz/png_checksums.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmsync;
  if (size < 2) return 0;
  const ImageExtent small{1 + data[size - 1] % 40, 1 + data[size - 2] % 40};
  const std::vector<std::uint8_t> bytes = WithPngChecksums({data, data + size});
  ReadOrRefuse([&] {
    const ImageExtent extent = PeekImage(bytes.data(), bytes.size(), "input");
    const RgbImage image = DecodeImage(bytes.data(), bytes.size(), "input");
    if (image.extent.height != extent.height || image.extent.width != extent.width) {
      throw std::logic_error("an image of another size than its header says");
    }
    Touch(image.pixels.data(), image.pixels.size());
    if (extent.height * extent.width > 1 << 16) return;
    const RgbImage resized = Resize(image, small);
    Touch(resized.pixels.data(), resized.pixels.size());
  });
  return 0;
}
