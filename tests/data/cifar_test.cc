#include "data/cifar.h"

#include <gtest/gtest.h>

#include "data/idx_fixture.h"
#include "data/image_fixture.h"
#include "data/tar_fixture.h"
#include "data/throws_with.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/data/dataset.h"
#include "swarmsync/data/source.h"

namespace swarmsync {
namespace {

// A record whose pixels count on from `first`.
std::string Record(int label, int first) {
  std::string bytes(1, static_cast<char>(label));
  for (int i = 0; i < 3072; ++i) bytes.push_back(static_cast<char>(first + i));
  return bytes;
}

class CifarTest : public testing::Test {
 protected:
  CifarTest() {
    Write("data_batch_1.bin", Record(3, 0) + Record(9, 7));
    Write("data_batch_2.bin", Record(0, 50));
    Write("test_batch.bin", Record(1, 90));
  }
  void Write(const std::string& name, const std::string& bytes) { WriteBytes(dir() / name, bytes); }
  const std::filesystem::path& dir() const { return directory_.path(); }
  std::string name() const { return "cifar:" + dir().string(); }

 private:
  PrivateDirectory directory_;
};

TEST_F(CifarTest, ReadsTheBinaryLayout) {
  const CifarDirectory directory = ReadCifarDirectory(dir());
  ASSERT_EQ(directory.train->size(), 3);
  EXPECT_EQ(directory.test->size(), 1);
  EXPECT_EQ(directory.train->label(1), 9);
  EXPECT_EQ(directory.train->label(2), 0);
  EXPECT_EQ(directory.train->pixels(0)[5], 5);
  EXPECT_EQ(directory.train->pixels(1)[3071], (7 + 3071) % 256);
  EXPECT_EQ(directory.train->pixels(2)[0], 50);

  const Dataset data = OpenDataset(name(), "");
  EXPECT_EQ(ToString(data.shape), "3x32x32");
  EXPECT_EQ(data.num_classes, 10);
  EXPECT_EQ(data.normalization.mean.size(), 3u);
  EXPECT_EQ(data.train->label(2), 0);
}

TEST_F(CifarTest, RefusesWhatIsDamaged) {
  Write("data_batch_2.bin", Record(0, 0).substr(0, 3000));
  ExpectThrowsWith<DataError>([&] { OpenDataset(name(), ""); },
                              {"data_batch_2.bin", "truncated", "3000", "3073"});
  Write("data_batch_2.bin", "");
  ExpectThrowsWith<DataError>([&] { OpenDataset(name(), ""); }, {"data_batch_2.bin", "0 bytes"});
  Write("data_batch_2.bin", Record(1, 0) + Record(10, 0));
  ExpectThrowsWith<DataError>([&] { OpenDataset(name(), ""); },
                              {"data_batch_2.bin", "label 10 of sample 1", "0 to 9"});
  std::filesystem::remove(dir() / "test_batch.bin");
  Write("data_batch_2.bin", Record(1, 0));
  ExpectThrowsWith<DataError>([&] { OpenDataset(name(), ""); }, {"test_batch.bin", "no such file", name()});
  std::filesystem::remove(dir() / "data_batch_1.bin");
  ExpectThrowsWith<DataError>([&] { OpenDataset(name(), ""); }, {"data_batch_1.bin", "no such file"});
}

TEST(CifarDataset, TheKnownSetNamesTheCommandThatGetsIt) {
  const PrivateDirectory dir;
  ExpectThrowsWith<DataError>([&] { OpenDataset("cifar10", dir.path()); },
                              {"cifar10", "data_batch_1.bin", "swarmsync data get cifar10"});
}

std::vector<std::uint8_t> Bytes(const std::string& text) { return {text.begin(), text.end()}; }

// Rows of a PNG are images, pixel after pixel; two batches of two and one of the test.
class CifarFromPngTest : public testing::Test {
 protected:
  std::string Png(int first) const {
    std::vector<std::uint8_t> pixels;
    for (int i = 0; i < 2 * 3072; ++i) pixels.push_back(static_cast<std::uint8_t>(first + i / 3 * 5 + i % 3));
    return PngBytes(2, 1024, 3, pixels);
  }
  std::vector<std::uint8_t> Archive(const std::string& labels) const {
    return Bytes(TarMember("p/data_batch_1.png", Png(0)) + TarMember("p/data_batch_2.png", Png(100)) +
                 TarMember("p/test_batch.png", Png(30)) + TarMember("p/train_lables.json", labels) +
                 TarMember("p/test_lables.json", "[8,1]") + std::string(1024, '\0'));
  }
  const FileInArchive convert_ = CifarFromPng("p/");
};

TEST_F(CifarFromPngTest, WritesTheBinaryLayout) {
  const std::vector<std::uint8_t> archive = Archive("[6,9,4,1]");
  const std::vector<std::uint8_t> second = convert_(archive, {"data_batch_2.bin", 0, ""});
  ASSERT_EQ(second.size(), 2u * 3073);
  EXPECT_EQ(second[0], 4);
  EXPECT_EQ(second[3073], 1);
  for (int pixel = 0; pixel < 1024; ++pixel) {
    for (int channel = 0; channel < 3; ++channel) {
      const auto at = static_cast<std::size_t>(1 + channel * 1024 + pixel);
      EXPECT_EQ(second[at], (100 + pixel * 5 + channel) % 256);
      EXPECT_EQ(second[3073 + at], (100 + (1024 + pixel) * 5 + channel) % 256);
    }
  }
  EXPECT_EQ(convert_(archive, {"test_batch.bin", 0, ""})[3073], 1);
}

TEST_F(CifarFromPngTest, RefusesAPackageThatDoesNotFit) {
  ExpectThrowsWith<DataError>(
      [&] {
        convert_(Archive("[6,9,4]"), {"data_batch_2.bin", 0, ""});
      },
      {"p/train_lables.json", "3 labels", "needs 4"});
  ExpectThrowsWith<DataError>(
      [&] {
        convert_(Archive("{}"), {"data_batch_2.bin", 0, ""});
      },
      {"p/train_lables.json", "no list of labels"});
  for (const std::string bad : {"10", "-1", "256", "1.5", "1e300", "\"1\"", "[]"}) {
    ExpectThrowsWith<DataError>(
        [&] {
          convert_(Archive("[6,9," + bad + ",1]"), {"data_batch_2.bin", 0, ""});
        },
        {"p/train_lables.json", "label"});
  }
  ExpectThrowsWith<DataError>(
      [&] {
        convert_(Archive("[]"), {"data_batch_4.bin", 0, ""});
      },
      {"no p/data_batch_4.png"});
  const std::vector<std::uint8_t> narrow =
      Bytes(TarMember("p/test_batch.png", PngBytes(1, 2, 3, {1, 2, 3, 4, 5, 6})) + std::string(1024, '\0'));
  ExpectThrowsWith<DataError>(
      [&] {
        convert_(narrow, {"test_batch.bin", 0, ""});
      },
      {"2 pixels in a row", "1024"});
}

}  // namespace
}  // namespace swarmsync
