#include "swarmsync/checkpoint/checkpoint_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <fstream>
#include <functional>

#include "support/errors.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MessageOf;
namespace fs = std::filesystem;

class CheckpointDirectoryTest : public ::testing::Test {
 protected:
  CheckpointDirectory directory() const { return CheckpointDirectory(root_.path() / "checkpoint"); }

  // All parts, each with its rank in it.
  void Save(std::int64_t step, int size) const {
    for (int rank = 0; rank < size; ++rank) SavePart(step, size, rank);
  }
  void SavePart(std::int64_t step, int size, int rank) const {
    directory().Save({step, size}, rank, {{{"rank", at::full({3}, rank)}}, {{"key", "value"}}});
  }
  std::vector<std::pair<std::int64_t, int>> Complete() const {
    std::vector<std::pair<std::int64_t, int>> found;
    for (const auto& [round, size] : directory().Complete()) found.emplace_back(round, size);
    return found;
  }
  fs::path Part(std::int64_t step, const std::string& name) const { return directory().PathOf(step) / name; }

 private:
  PrivateDirectory root_;
};

TEST_F(CheckpointDirectoryTest, GivesBackWhatWasSaved) {
  Save(16, 3);
  const WeightsFile part = directory().Load({16, 3}, 2);
  ASSERT_EQ(part.tensors.size(), 1u);
  EXPECT_EQ(part.tensors[0].second.sum().item<float>(), 6);
  EXPECT_EQ(part.metadata.at("key"), "value");
}

TEST_F(CheckpointDirectoryTest, IsCompleteWhenAllPartsAre) {
  EXPECT_THAT(Complete(), IsEmpty()) << "there is no directory yet";
  Save(100, 2);
  Save(9, 2);
  SavePart(1000, 2, 1);
  fs::create_directory(directory().path() / "round-x");
  std::ofstream(directory().path() / "round-00000200");
  Save(300, 1);
  SavePart(300, 2, 0);  // of a world of another size, beside it
  EXPECT_THAT(Complete(), ElementsAre(std::pair(300, 1), std::pair(100, 2), std::pair(9, 2)));
  SavePart(1000, 2, 0);
  EXPECT_EQ(Complete()[0].first, 1000);
  fs::remove(Part(1000, "rank-0-of-2.sha256"));
  EXPECT_EQ(Complete()[0].first, 300);
}

TEST_F(CheckpointDirectoryTest, KeepsOnlyWhatItIsTold) {
  for (const std::int64_t step : {1, 2, 3, 4}) Save(step, 1);
  SavePart(5, 2, 0);
  directory().KeepOnly({2, 3}, 3);
  EXPECT_THAT(Complete(), ElementsAre(std::pair(4, 1), std::pair(3, 1), std::pair(2, 1)));
  EXPECT_TRUE(fs::exists(directory().PathOf(5)));
  directory().KeepOnly({3});
  EXPECT_THAT(Complete(), ElementsAre(std::pair(3, 1)));
  EXPECT_FALSE(fs::exists(directory().PathOf(5)));
}

// `sha256sum -c` checks a part.
TEST_F(CheckpointDirectoryTest, TheChecksumIsThatOfSha256sum) {
  Save(1, 1);
  const std::string command =
      "cd '" + directory().PathOf(1).string() + "' && sha256sum --status -c rank-0-of-1.sha256";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST_F(CheckpointDirectoryTest, DamageIsNamed) {
  const auto flip = [](const fs::path& path, std::size_t at) {
    std::string bytes = ReadFile(path);
    bytes.at(at % bytes.size()) ^= 1;
    std::ofstream(path, std::ios::binary) << bytes;
  };
  for (const auto& [damage, expected] : std::vector<std::pair<std::function<void()>, std::string>>{
           {[&] { flip(Part(1, "rank-0-of-1.safetensors"), 0); }, "is damaged"},
           {[&] { flip(Part(1, "rank-0-of-1.safetensors"), 100'000'007); }, "is damaged"},
           {[&] { flip(Part(1, "rank-0-of-1.sha256"), 3); }, "is damaged"},
           {[&] { fs::resize_file(Part(1, "rank-0-of-1.safetensors"), 20); }, "is damaged"},
           {[&] { fs::resize_file(Part(1, "rank-0-of-1.safetensors"), 0); }, "is damaged"},
           {[&] { fs::resize_file(Part(1, "rank-0-of-1.sha256"), 10); }, "is damaged"},
           {[&] { fs::remove(Part(1, "rank-0-of-1.safetensors")); }, "cannot read"}}) {
    Save(1, 1);
    damage();
    EXPECT_THAT(MessageOf<DataError>([&] { directory().Load({1, 1}, 0); }), HasSubstr(expected));
  }
}

TEST_F(CheckpointDirectoryTest, WhatCannotBeWrittenIsARunError) {
  std::ofstream(directory().path()) << "a file";
  EXPECT_THAT(MessageOf<RunError>([&] { Save(1, 1); }), HasSubstr("cannot create"));
}

}  // namespace
}  // namespace swarmsync
