#include "data/image_codec.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "data/image_fixture.h"
#include "data/throws_with.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

RgbImage Decode(const std::string& bytes) {
  return DecodeImage(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), "file");
}
ImageExtent Peek(const std::string& bytes) {
  return PeekImage(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), "file");
}

const std::vector<std::uint8_t> kSix{1, 2, 3, 40, 50, 60, 7, 8, 9, 100, 110, 120, 130, 140, 150, 255, 0, 128};

TEST(ImageCodecTest, DecodesPng) {
  const std::string bytes = PngBytes(2, 3, 3, kSix);
  const RgbImage image = Decode(bytes);
  EXPECT_EQ(image.extent.height, 2);
  EXPECT_EQ(image.extent.width, 3);
  EXPECT_EQ(image.pixels, kSix);
  EXPECT_EQ(Peek(bytes).height, 2);
  EXPECT_EQ(Peek(bytes).width, 3);
}

TEST(ImageCodecTest, MakesGrayAndTransparentRgb) {
  EXPECT_EQ(Decode(PngBytes(1, 2, 1, {5, 200})).pixels, (std::vector<std::uint8_t>{5, 5, 5, 200, 200, 200}));
  EXPECT_EQ(Decode(PngBytes(1, 2, 4, {9, 8, 7, 255, 9, 8, 7, 0})).pixels,
            (std::vector<std::uint8_t>{9, 8, 7, 0, 0, 0}));
}

TEST(ImageCodecTest, DecodesJpeg) {
  const std::vector<std::uint8_t> flat(16 * 24 * 3, 90);
  const std::string bytes = JpegBytes(16, 24, 3, flat);
  const RgbImage image = Decode(bytes);
  EXPECT_EQ(image.extent.height, 16);
  EXPECT_EQ(image.extent.width, 24);
  ASSERT_EQ(image.pixels.size(), flat.size());
  for (const std::uint8_t value : image.pixels) EXPECT_NEAR(value, 90, 2);
  EXPECT_EQ(Peek(bytes).width, 24);
  EXPECT_EQ(Decode(JpegBytes(8, 8, 1, std::vector<std::uint8_t>(64, 200))).pixels.size(), 64u * 3);
}

TEST(ImageCodecTest, RefusesWhatIsDamaged) {
  const std::string png = PngBytes(2, 3, 3, kSix);
  std::vector<std::uint8_t> noise(16 * 16 * 3);
  for (std::size_t i = 0; i < noise.size(); ++i) noise[i] = static_cast<std::uint8_t>(i * i * 37 + i * 11);
  const std::string jpeg = JpegBytes(16, 16, 3, noise);
  ExpectThrowsWith<DataError>([&] { Decode(""); }, {"file", "neither a PNG nor a JPEG"});
  ExpectThrowsWith<DataError>([&] { Decode("GIF89a and more"); }, {"neither a PNG nor a JPEG"});
  // What ends behind the last pixel has lost nothing.
  for (std::size_t size = 8; size + 20 < png.size(); size += 5) {
    ExpectThrowsWith<DataError>([&] { Decode(png.substr(0, size)); }, {"file", "damaged PNG"});
  }
  for (std::size_t size = 3; size + 16 < jpeg.size(); size += 7) {
    ExpectThrowsWith<DataError>([&] { Decode(jpeg.substr(0, size)); }, {"file", "damaged JPEG"});
  }
}

// Memory is set aside for what a header claims, so it may not claim what the file cannot hold.
TEST(ImageCodecTest, RefusesWhatClaimsMorePixelsThanItsBytesCanHold) {
  std::string png = PngBytes(2, 3, 3, kSix);
  png.replace(16, 8, std::string("\0\0\x40\0\0\0\x40\0", 8));
  const uLong sum = crc32(0, reinterpret_cast<const Bytef*>(png.data() + 12), 17);
  for (int i = 0; i < 4; ++i) png[29 + i] = static_cast<char>(sum >> (24 - 8 * i));
  std::string jpeg = JpegBytes(8, 8, 1, std::vector<std::uint8_t>(64, 200));
  jpeg.replace(jpeg.find("\xff\xc0") + 5, 4, std::string("\x40\0\x40\0", 4));
  for (const std::string& bytes : {png, jpeg}) {
    ExpectThrowsWith<DataError>([&] { Decode(bytes); }, {"file: truncated", "16384 x 16384"});
    ExpectThrowsWith<DataError>([&] { Peek(bytes); }, {"file: truncated", "16384 x 16384"});
  }
}

// One color, which takes the fewest bytes.
TEST(ImageCodecTest, DecodesWhatIsCompressedBest) {
  constexpr int kSide = 2000;
  const std::vector<std::uint8_t> pixels(kSide * kSide);
  EXPECT_EQ(Decode(PngBytes(kSide, kSide, 1, pixels)).pixels.size(), pixels.size() * 3);
  EXPECT_EQ(Decode(JpegBytes(kSide, kSide, 1, pixels)).pixels.size(), pixels.size() * 3);
}

// Whatever a bit does, the answer is an image or one clear error.
TEST(ImageCodecTest, NoBitFlipDoesHarm) {
  for (const std::string& bytes :
       {PngBytes(2, 3, 3, kSix), JpegBytes(8, 8, 3, std::vector<std::uint8_t>(192, 77))}) {
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      std::string flipped = bytes;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      try {
        const RgbImage image = Decode(flipped);
        EXPECT_EQ(static_cast<std::int64_t>(image.pixels.size()),
                  image.extent.height * image.extent.width * 3);
      } catch (const DataError&) {
      }
    }
  }
}

TEST(ImageCodecTest, ResizesByResampling) {
  const RgbImage flat{{6, 4}, std::vector<std::uint8_t>(72, 33)};
  for (const ImageExtent extent : {ImageExtent{3, 2}, ImageExtent{9, 11}, ImageExtent{1, 1}}) {
    const RgbImage resized = Resize(flat, extent);
    EXPECT_EQ(resized.pixels,
              std::vector<std::uint8_t>(static_cast<std::size_t>(extent.height * extent.width * 3), 33));
  }
  // Half dark, half light: made small, it is so still.
  RgbImage halves{{8, 8}, std::vector<std::uint8_t>(192)};
  for (std::size_t i = 96; i < 192; ++i) halves.pixels[i] = 200;
  const RgbImage small = Resize(halves, {2, 2});
  for (std::size_t i = 0; i < 6; ++i) EXPECT_LT(small.pixels[i], 30);
  for (std::size_t i = 6; i < 12; ++i) EXPECT_GT(small.pixels[i], 170);
}

TEST(ImageCodecTest, SplitsPixelsIntoPlanes) {
  std::vector<std::uint8_t> planes(6);
  const std::vector<std::uint8_t> pixels{1, 2, 3, 4, 5, 6};
  ToPlanes(pixels.data(), 2, planes.data());
  EXPECT_EQ(planes, (std::vector<std::uint8_t>{1, 4, 2, 5, 3, 6}));
}

}  // namespace
}  // namespace swarmsync
