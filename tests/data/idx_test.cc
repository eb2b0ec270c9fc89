#include "swarmsync/data/idx.h"

#include <gtest/gtest.h>

#include "data/gzip_fixture.h"
#include "data/idx_fixture.h"
#include "data/idx_images.h"
#include "data/throws_with.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

class IdxTest : public testing::Test {
 protected:
  std::filesystem::path Write(const std::string& name, const std::string& bytes) {
    WriteBytes(dir() / name, bytes);
    return dir() / name;
  }
  const std::filesystem::path& dir() const { return directory_.path(); }

  // Raw and gzipped, the file is refused with the same words.
  void ExpectRefused(const std::string& bytes, IdxKind kind, const std::vector<std::string>& parts) {
    for (const std::string& content : {bytes, GzipBytes(bytes)}) {
      const std::filesystem::path path = Write("file", content);
      std::vector<std::string> all = parts;
      all.push_back(path.string());
      ExpectThrowsWith<DataError>([&] { IdxFile(path, kind); }, all);
    }
  }

 private:
  PrivateDirectory directory_;
};

const std::vector<std::uint8_t> kTwoImages = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255};  // of 2 x 3

TEST_F(IdxTest, ReadsImagesAndLabels) {
  const std::string images = IdxImagesBytes(2, 2, 3, kTwoImages);
  // By content, not by name: each is read under either name.
  for (const char* name : {"images", "images.gz"}) {
    for (const std::string& content : {images, GzipBytes(images)}) {
      const IdxFile file(Write(name, content), IdxKind::kImages);
      EXPECT_EQ(file.count(), 2);
      EXPECT_EQ(file.height(), 2);
      EXPECT_EQ(file.width(), 3);
      EXPECT_EQ(std::vector<std::uint8_t>(file.values(), file.values() + 12), kTwoImages);
    }
  }
  const IdxFile labels(Write("labels", IdxLabelsBytes({7, 0, 3})), IdxKind::kLabels);
  EXPECT_EQ(labels.count(), 3);
  EXPECT_EQ(labels.values()[0], 7);
  EXPECT_EQ(labels.values()[2], 3);
}

TEST_F(IdxTest, ReadsSeveralGzipMembersAndPadding) {
  const std::string images = IdxImagesBytes(2, 2, 3, kTwoImages);
  const std::string members =
      GzipBytes(images.substr(0, 9)) + GzipBytes(images.substr(9)) + std::string(5, '\0');
  const IdxFile file(Write("images", members), IdxKind::kImages);
  EXPECT_EQ(std::vector<std::uint8_t>(file.values(), file.values() + 12), kTwoImages);
}

TEST_F(IdxTest, RefusesDamagedFiles) {
  const std::string images = IdxImagesBytes(2, 2, 3, kTwoImages);
  ExpectThrowsWith<DataError>([&] { IdxFile(dir() / "none", IdxKind::kImages); },
                              {(dir() / "none").string(), "No such file"});
  ExpectThrowsWith<DataError>([&] { IdxFile(Write("empty", ""), IdxKind::kImages); },
                              {"empty", "truncated: 0 bytes"});
  ExpectRefused(images.substr(0, 15), IdxKind::kImages, {"truncated: 15 bytes", "16"});
  ExpectRefused(images.substr(0, images.size() - 1), IdxKind::kImages,
                {"truncated", "2 x 2 x 3 images take 12 bytes", "found 11"});
  ExpectRefused(images + "x", IdxKind::kImages, {"trailing bytes", "take 12 bytes", "found"});
  ExpectRefused(images, IdxKind::kLabels, {"not an IDX file of labels", "0x00000803", "0x00000801"});
  ExpectRefused("<!DOCTYPE html>\n<html>", IdxKind::kImages, {"magic number is 0x3c21444f"});
  ExpectRefused(IdxLabelsBytes({}), IdxKind::kLabels, {"holds no labels"});
  ExpectRefused(IdxImagesBytes(0, 2, 3, {}), IdxKind::kImages, {"holds no images"});
  ExpectRefused(IdxImagesBytes(2, 0, 3, {}), IdxKind::kImages, {"implausible dimensions: 2 images of 0 x 3"});
  // Products that 32 or 64 bits cannot hold.
  ExpectRefused(IdxImagesBytes(1, 65536, 65536, {}), IdxKind::kImages, {"implausible", "65536 x 65536"});
  ExpectRefused(IdxImagesBytes(0xffffffff, 0xffffffff, 0xffffffff, {1}), IdxKind::kImages, {"implausible"});
  ExpectRefused(IdxImagesBytes(0xffffffff, 65535, 65535, {1}), IdxKind::kImages,
                {"truncated", "18446181123756261375 bytes"});
}

TEST_F(IdxTest, RefusesDamagedGzip) {
  const std::string gzip = GzipBytes(IdxImagesBytes(2, 2, 3, kTwoImages));
  const auto read = [&](const std::string& bytes) { IdxFile(Write("f", bytes), IdxKind::kImages); };
  for (std::size_t size = 2; size < gzip.size(); ++size) {  // cut anywhere, even within the checksum
    ExpectThrowsWith<DataError>([&] { read(gzip.substr(0, size)); }, {"damaged gzip", "ends early"});
  }
  std::string flipped = gzip;
  flipped[gzip.size() - 6] ^= 1;  // in the checksum
  ExpectThrowsWith<DataError>([&] { read(flipped); }, {"damaged gzip", "incorrect data check"});
  ExpectThrowsWith<DataError>([&] { read(gzip + "tail"); }, {"damaged gzip", "4 bytes follow"});
}

TEST_F(IdxTest, NoBitFlipDoesHarm) {
  const std::string raw = IdxImagesBytes(2, 2, 3, kTwoImages);
  for (const std::string& bytes : {raw, GzipBytes(raw)}) {
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      std::string flipped = bytes;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      try {
        const IdxFile file(Write("f", flipped), IdxKind::kImages);
        EXPECT_EQ(file.count() * file.height() * file.width(), 12);
      } catch (const DataError&) {
      }
    }
  }
}

TEST_F(IdxTest, FindsTheSpellingsOfMirrors) {
  EXPECT_FALSE(FindIdxFile(dir(), kIdxTrainImages));
  // Each is preferred to those before it.
  for (const char* name : {"train-images.idx3-ubyte.gz", "train-images-idx3-ubyte.gz",
                           "train-images.idx3-ubyte", "train-images-idx3-ubyte"}) {
    Write(name, "");
    EXPECT_EQ(FindIdxFile(dir(), kIdxTrainImages), dir() / name);
  }
}

TEST_F(IdxTest, ReadsADirectory) {
  WriteIdxDataset(dir(), {20, 10, 4, 5, 3, 1});
  const IdxDirectory directory = ReadIdxDirectory(dir());
  EXPECT_EQ(directory.train.images->count(), 20);
  EXPECT_EQ(directory.test.images->count(), 10);
  EXPECT_EQ(directory.test.images->height(), 4);
  EXPECT_EQ(directory.test.images->width(), 5);
  EXPECT_EQ(CountClasses(*BytesOf(directory.train)), 3);
}

TEST_F(IdxTest, RefusesFilesThatDoNotFitTogether) {
  const auto read = [&] { ReadIdxDirectory(dir()); };
  ExpectThrowsWith<DataError>([&] { ReadIdxDirectory(dir() / "none"); }, {"none: no such directory"});
  ExpectThrowsWith<DataError>(read, {kIdxTrainImages, "no such file"});
  WriteIdxDataset(dir(), {20, 10, 4, 5, 3, 1});
  Write(kIdxTrainLabels, IdxLabelsBytes(std::vector<std::uint8_t>(19)));
  ExpectThrowsWith<DataError>(read, {kIdxTrainImages, "20 images", kIdxTrainLabels, "19 labels"});
  WriteIdxDataset(dir(), {20, 10, 4, 5, 3, 1});
  Write(kIdxTestImages, IdxImagesBytes(10, 5, 4, std::vector<std::uint8_t>(200)));
  ExpectThrowsWith<DataError>(read, {kIdxTrainImages, "4 x 5", kIdxTestImages, "5 x 4"});
}

}  // namespace
}  // namespace swarmsync
