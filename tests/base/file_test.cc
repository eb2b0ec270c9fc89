#include "swarmsync/base/file.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <vector>

#include "support/errors.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

namespace fs = std::filesystem;
using testing::MessageOf;
using ::testing::Test;

std::vector<std::string> NamesIn(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

mode_t ModeOf(const fs::path& path) {
  struct stat status = {};
  EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777;
}

bool Mentions(const std::string& message, const fs::path& path) {
  return message.find(path.string()) != std::string::npos;
}

class FileTest : public Test {
 protected:
  const fs::path& directory() const { return directory_.path(); }
  fs::path Path(const std::string& name) const { return directory() / name; }

 private:
  PrivateDirectory directory_;
};
using AtomicFileTest = FileTest;
using MappedFileTest = FileTest;

TEST_F(AtomicFileTest, IsNotThereBeforeCommitAndIsAloneAfterIt) {
  AtomicFile file(Path("a"));
  file.Write("one ");
  EXPECT_FALSE(fs::exists(Path("a")));
  file.Write("two", 3);
  EXPECT_FALSE(fs::exists(Path("a")));
  file.Commit();
  EXPECT_EQ(ReadFile(Path("a")), "one two");
  EXPECT_EQ(NamesIn(directory()), std::vector<std::string>{"a"});
}

TEST_F(AtomicFileTest, LeavesNothingBehindWithoutCommit) {
  { AtomicFile(Path("a")).Write("text"); }
  EXPECT_EQ(NamesIn(directory()), std::vector<std::string>{});
}

TEST_F(AtomicFileTest, ReplacesTheOldFileWhole) {
  WriteFileAtomically(Path("a"), "a long old text");
  {
    AtomicFile file(Path("a"));
    file.Write("new");
    EXPECT_EQ(ReadFile(Path("a")), "a long old text");
    file.Commit();
  }
  EXPECT_EQ(ReadFile(Path("a")), "new");
}

TEST_F(AtomicFileTest, LeavesTheOldFileWithoutCommit) {
  WriteFileAtomically(Path("a"), "old");
  { AtomicFile(Path("a")).Write("new"); }
  EXPECT_EQ(ReadFile(Path("a")), "old");
  EXPECT_EQ(NamesIn(directory()), std::vector<std::string>{"a"});
}

TEST_F(AtomicFileTest, TwoWritersOfOneNameDoNotDisturbEachOther) {
  AtomicFile first(Path("a")), second(Path("a"));
  first.Write("first");
  second.Write("second");
  second.Commit();
  EXPECT_EQ(ReadFile(Path("a")), "second");
  first.Commit();
  EXPECT_EQ(ReadFile(Path("a")), "first");
}

TEST_F(AtomicFileTest, HasTheModeOfAnOrdinaryFile) {
  const mode_t before = umask(027);
  WriteFileAtomically(Path("a"), "text");
  umask(before);
  EXPECT_EQ(ModeOf(Path("a")), 0640u);
}

TEST_F(AtomicFileTest, ADirectoryThatIsNotThereIsARunErrorThatNamesThePath) {
  const std::string message = MessageOf<RunError>([&] { AtomicFile file(Path("missing/a")); });
  EXPECT_TRUE(Mentions(message, Path("missing/a"))) << message;
  EXPECT_NE(message.find("No such file or directory"), std::string::npos) << message;
}

TEST_F(AtomicFileTest, APathBelowAFileIsARunErrorThatNamesThePath) {
  WriteFileAtomically(Path("file"), "text");
  const std::string message = MessageOf<RunError>([&] { WriteFileAtomically(Path("file/a"), "text"); });
  EXPECT_TRUE(Mentions(message, Path("file/a"))) << message;
  EXPECT_NE(message.find("Not a directory"), std::string::npos) << message;
}

TEST_F(AtomicFileTest, ADirectoryOfThatNameIsARunErrorAndStays) {
  fs::create_directory(Path("a"));
  const std::string message = MessageOf<RunError>([&] { WriteFileAtomically(Path("a"), "text"); });
  EXPECT_TRUE(Mentions(message, Path("a"))) << message;
  EXPECT_EQ(NamesIn(directory()), std::vector<std::string>{"a"});
  EXPECT_TRUE(fs::is_directory(Path("a")));
}

TEST_F(AtomicFileTest, WritesIntoTheCurrentDirectoryToo) {
  const fs::path before = fs::current_path();
  fs::current_path(directory());
  WriteFileAtomically("a", "text");
  fs::current_path(before);
  EXPECT_EQ(ReadFile(Path("a")), "text");
}

RC_GTEST_FIXTURE_PROP(AtomicFileTest, GivesBackWhatWasWritten, (const std::vector<std::string>& pieces)) {
  std::string whole;
  AtomicFile file(Path("a"));
  for (const std::string& piece : pieces) {
    file.Write(piece);
    whole += piece;
  }
  file.Commit();
  RC_ASSERT(ReadFile(Path("a")) == whole);
}

TEST_F(MappedFileTest, ShowsTheBytes) {
  WriteFileAtomically(Path("a"), std::string("\0\x01\xff", 3));
  const MappedFile file(Path("a"));
  ASSERT_EQ(file.size(), 3u);
  EXPECT_EQ(std::vector<int>(file.data(), file.data() + 3), (std::vector<int>{0, 1, 255}));
}

TEST_F(MappedFileTest, OfAnEmptyFileHasNoBytes) {
  WriteFileAtomically(Path("a"), "");
  EXPECT_EQ(MappedFile(Path("a")).size(), 0u);
  EXPECT_EQ(ReadFile(Path("a")), "");
}

TEST_F(MappedFileTest, KeepsTheOldBytesWhenTheFileIsReplaced) {
  WriteFileAtomically(Path("a"), "old");
  const MappedFile file(Path("a"));
  WriteFileAtomically(Path("a"), "new");
  EXPECT_EQ(std::string(file.data(), file.data() + file.size()), "old");
}

TEST_F(MappedFileTest, AMissingFileIsADataErrorThatNamesThePath) {
  const std::string message = MessageOf<DataError>([&] { MappedFile file(Path("a")); });
  EXPECT_TRUE(Mentions(message, Path("a"))) << message;
  EXPECT_NE(message.find("No such file or directory"), std::string::npos) << message;
}

TEST_F(MappedFileTest, ADirectoryIsADataErrorThatNamesThePath) {
  const std::string message = MessageOf<DataError>([&] { MappedFile file(directory()); });
  EXPECT_TRUE(Mentions(message, directory())) << message;
  EXPECT_NE(message.find("not a regular file"), std::string::npos) << message;
}

TEST(PrivateDirectory, BelongsToThisUserAloneAndIsRemovedWithItsContent) {
  std::optional<PrivateDirectory> directory(std::in_place);
  const fs::path path = directory->path();
  EXPECT_EQ(ModeOf(path), 0700u);
  fs::create_directories(path / "a" / "b");
  WriteFileAtomically(path / "a" / "b" / "c", "text");
  directory.reset();
  EXPECT_FALSE(fs::exists(path));
}

TEST(PrivateDirectory, EachIsAnother) {
  const PrivateDirectory first, second;
  EXPECT_NE(first.path(), second.path());
}

TEST(PrivateDirectory, LiesWhereTheEnvironmentSays) {
  const PrivateDirectory parent;
  const char* before = std::getenv("TMPDIR");
  const std::string kept = before == nullptr ? "" : before;
  setenv("TMPDIR", parent.path().c_str(), 1);
  {
    const PrivateDirectory directory;
    EXPECT_EQ(directory.path().parent_path(), parent.path());
  }
  if (before == nullptr) {
    unsetenv("TMPDIR");
  } else {
    setenv("TMPDIR", kept.c_str(), 1);
  }
}

TEST(LapTimer, LapsAddUpToTheTimeThatPassed) {
  const double begin = MonotonicSeconds();
  LapTimer timer;
  double sum = 0;
  for (int i = 0; i < 100; ++i) {
    const double lap = timer.Lap();
    EXPECT_GE(lap, 0);
    sum += lap;
  }
  EXPECT_LE(sum, MonotonicSeconds() - begin + 1e-9);  // the sum's rounding
}

}  // namespace
}  // namespace swarmsync
