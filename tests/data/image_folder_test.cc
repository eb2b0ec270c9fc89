#include "data/image_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/idx_fixture.h"
#include "data/image_fixture.h"
#include "data/throws_with.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/data/dataset.h"

namespace swarmsync {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ImageFolderTest : public testing::Test {
 protected:
  // An image of one color, which is (value, 2, 3).
  void Write(const std::string& name, int value, int height = 4, int width = 6) {
    std::vector<std::uint8_t> pixels;
    for (int i = 0; i < height * width; ++i) {
      for (const int channel : {value, 2, 3}) pixels.push_back(static_cast<std::uint8_t>(channel));
    }
    const bool is_png = name.substr(name.size() - 4) == ".png";
    Put(name, is_png ? PngBytes(height, width, 3, pixels) : JpegBytes(height, width, 3, pixels));
  }
  void Put(const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories((dir() / name).parent_path());
    WriteBytes(dir() / name, bytes);
  }
  void WriteSplits() {
    Write("train/cat/1.png", 10);
    Write("train/cat/2.PNG.png", 20);
    Write("train/dog/1.jpg", 200);
    Write("test/cat/1.png", 30);
    Write("test/dog/1.png", 40);
  }
  ImageFolder Read(std::optional<ImageExtent> extent = std::nullopt) const {
    return ReadImageFolder(dir(), extent);
  }
  const std::filesystem::path& dir() const { return directory_.path(); }

 private:
  PrivateDirectory directory_;
};

TEST_F(ImageFolderTest, ReadsClassFolders) {
  WriteSplits();
  Put("train/cat/notes.txt", "not an image");
  Put("train/.hidden/1.png", "neither");
  const ImageFolder folder = Read();
  EXPECT_THAT(folder.classes, ElementsAre("cat", "dog"));
  EXPECT_TRUE(folder.skipped.empty());
  ASSERT_EQ(folder.train->size(), 3);
  EXPECT_EQ(folder.train->shape(), (ImageShape{3, 4, 6}));
  EXPECT_EQ(folder.train->label(1), 0);
  EXPECT_EQ(folder.train->label(2), 1);
  EXPECT_EQ(folder.train->pixels(1)[0], 20);  // red
  EXPECT_EQ(folder.train->pixels(1)[24], 2);  // green
  EXPECT_EQ(folder.train->pixels(1)[71], 3);  // the last blue
  EXPECT_NEAR(folder.train->pixels(2)[0], 200, 2);
  ASSERT_EQ(folder.test->size(), 2);
  EXPECT_EQ(folder.test->pixels(1)[0], 40);
}

TEST_F(ImageFolderTest, TakesValForTest) {
  WriteSplits();
  std::filesystem::rename(dir() / "test", dir() / "val");
  EXPECT_EQ(Read().test->size(), 2);
  std::filesystem::rename(dir() / "val", dir() / "other");
  ExpectThrowsWith<DataError>([&] { Read(); }, {"'train'", "neither 'test' nor 'val'"});
}

TEST_F(ImageFolderTest, KeepsEveryTenthForTheTestWithoutFolders) {
  for (int i = 10; i < 35; ++i) Write("a/" + std::to_string(i) + ".png", i);
  Write("b/1.png", 1);
  const ImageFolder folder = Read();
  EXPECT_EQ(folder.train->size(), 24);
  EXPECT_EQ(folder.train->label(23), 1);
  ASSERT_EQ(folder.test->size(), 2);
  EXPECT_EQ(folder.test->pixels(0)[0], 19);
  EXPECT_EQ(folder.test->pixels(1)[0], 29);
}

TEST_F(ImageFolderTest, ResizesOddSizesToTheMostFrequentOne) {
  WriteSplits();
  Write("train/dog/2.png", 50, 9, 5);
  const ImageFolder folder = Read();
  EXPECT_EQ(folder.train->shape(), (ImageShape{3, 4, 6}));
  EXPECT_EQ(folder.train->pixels(3)[0], 50);
  EXPECT_EQ(folder.train->pixels(3)[71], 3);
  const ImageFolder square = Read(ImageExtent{8, 8});
  EXPECT_EQ(square.train->shape(), (ImageShape{3, 8, 8}));
  EXPECT_EQ(square.test->pixels(0)[63], 30);
}

TEST_F(ImageFolderTest, NamesAndSkipsWhatCannotBeRead) {
  WriteSplits();
  Put("train/cat/broken.png", "this is no image");
  Put("test/dog/cut.jpg", JpegBytes(4, 6, 3, std::vector<std::uint8_t>(72)).substr(0, 60));
  const ImageFolder folder = Read();
  EXPECT_EQ(folder.train->size(), 3);
  EXPECT_EQ(folder.test->size(), 2);
  EXPECT_THAT(folder.skipped, ElementsAre(HasSubstr("broken.png: neither a PNG nor a JPEG"),
                                          HasSubstr("cut.jpg: damaged JPEG")));
  Put("train/cat/3.png", PngBytes(1, 2, 3, {1, 2, 3, 4, 50, 60}));
  EXPECT_EQ(OpenDataset("images:" + dir().string(), "").skipped, folder.skipped);
}

TEST_F(ImageFolderTest, RefusesWhatIsNoDataSet) {
  ExpectThrowsWith<DataError>([&] { ReadImageFolder(dir() / "none", std::nullopt); },
                              {"none: no such directory"});
  ExpectThrowsWith<DataError>([&] { Read(); }, {"no class folders"});
  std::filesystem::create_directories(dir() / "a");
  ExpectThrowsWith<DataError>([&] { Read(); }, {dir() / "a", "an empty class"});
  Write("a/1.png", 1);
  ExpectThrowsWith<DataError>([&] { Read(); }, {"no class has 10 images", "'train' and 'test'"});
  std::filesystem::remove_all(dir() / "a");

  WriteSplits();
  std::filesystem::create_directories(dir() / "train/emu");
  ExpectThrowsWith<DataError>([&] { Read(); }, {"cat, dog, emu", "test has cat, dog"});
  std::filesystem::create_directories(dir() / "test/emu");
  ExpectThrowsWith<DataError>([&] { Read(); }, {dir() / "train/emu", "an empty class: it has no .png"});
  Put("train/emu/1.png", "junk");
  Write("test/emu/1.png", 1);
  ExpectThrowsWith<DataError>([&] { Read(); },
                              {dir() / "train/emu", "none of its files can be read", "1.png"});
}

TEST_F(ImageFolderTest, OpensAsADataset) {
  WriteSplits();
  Write("train/cat/3.png", 90);
  // One green and one blue for all: these channels teach nothing.
  ExpectThrowsWith<DataError>([&] { OpenDataset("images:" + dir().string(), ""); }, {"one channel"});
  Put("train/cat/4.png", PngBytes(1, 2, 3, {1, 2, 3, 4, 50, 60}));
  DatasetOptions options;
  options.shape = ImageShape{3, 5, 5};
  const Dataset data = OpenDataset("images:" + dir().string(), "", options);
  EXPECT_EQ(data.num_classes, 2);
  EXPECT_EQ(data.shape, (ImageShape{3, 5, 5}));
  EXPECT_EQ(data.train->size(), 5);
}

}  // namespace
}  // namespace swarmsync
