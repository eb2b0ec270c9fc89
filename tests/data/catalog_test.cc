#include "swarmsync/data/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/digest.h"
#include "data/gzip_fixture.h"
#include "data/idx_fixture.h"
#include "data/throws_with.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/data/idx.h"

namespace swarmsync {
namespace {

// Two files, whose md5 values are those of RFC 1321's "abc" and "message digest".
CatalogEntry SmallEntry() {
  CatalogEntry entry;
  entry.name = "small";
  entry.files = {{"a-idx3-ubyte", 3, "900150983cd24fb0d6963f7d28e17f72"},
                 {"b-idx1-ubyte", 14, "f96b697d7cb7938d525a2f31aaf161d0"}};
  return entry;
}
const std::map<std::string, std::string> kRight = {{"a-idx3-ubyte", "abc"},
                                                   {"b-idx1-ubyte", "message digest"}};

class FakeSource : public DataSource {
 public:
  FakeSource(std::string name, std::map<std::string, std::string> files)
      : name_(std::move(name)), files_(std::move(files)) {}

  std::string Describe() const override { return name_; }
  std::vector<std::uint8_t> Fetch(const DataFile& file, const FetchProgress& progress) override {
    asked.push_back(file.name);
    if (files_.count(file.name) == 0) throw DataError("it is out of " + file.name);
    if (progress) progress(1, 2);
    const std::string& bytes = files_.at(file.name);
    return {bytes.begin(), bytes.end()};
  }

  std::vector<std::string> asked;

 private:
  std::string name_;
  std::map<std::string, std::string> files_;
};

std::set<std::string> FilesIn(const std::filesystem::path& dir) {
  std::set<std::string> names;
  if (!std::filesystem::exists(dir)) return names;
  for (const auto& item : std::filesystem::directory_iterator(dir)) names.insert(item.path().filename());
  return names;
}

class CatalogTest : public testing::Test {
 protected:
  void ExpectAllRight() {
    EXPECT_EQ(FilesIn(dir_), (std::set<std::string>{"a-idx3-ubyte", "b-idx1-ubyte"}));
    for (const FileCheck& check : VerifyFiles(SmallEntry(), dir_)) EXPECT_EQ(check.state, FileState::kOk);
    for (const auto& [name, bytes] : kRight) EXPECT_EQ(ReadFile(dir_ / name), bytes);
  }

  PrivateDirectory root_;
  std::filesystem::path dir_ = root_.path() / "data" / "small";  // not there yet
};

TEST_F(CatalogTest, TakesFilesFromAGoodSource) {
  FakeSource good("good", kRight), spare("spare", kRight);
  std::vector<GetEvent::Kind> kinds;
  FetchFiles(SmallEntry(), dir_, {&good, &spare},
             [&](const GetEvent& event) { kinds.push_back(event.kind); });
  ExpectAllRight();
  EXPECT_EQ(good.asked.size(), 2u);
  EXPECT_TRUE(spare.asked.empty());
  using Kind = GetEvent::Kind;
  EXPECT_EQ(kinds, (std::vector<Kind>{Kind::kTrying, Kind::kReceiving, Kind::kWritten, Kind::kTrying,
                                      Kind::kReceiving, Kind::kWritten}));
}

TEST_F(CatalogTest, LeavesOutASourceThatGivesDamagedBytes) {
  FakeSource bad("bad", {{"a-idx3-ubyte", "abd"}, {"b-idx1-ubyte", ""}}), good("good", kRight);
  std::vector<std::string> reasons;
  FetchFiles(SmallEntry(), dir_, {&bad, &good}, [&](const GetEvent& event) {
    if (event.kind == GetEvent::Kind::kSourceFailed) reasons.push_back(event.source + ": " + event.reason);
  });
  ExpectAllRight();
  ASSERT_EQ(reasons.size(), 2u);
  EXPECT_THAT(reasons[0],
              testing::AllOf(testing::HasSubstr("bad: a-idx3-ubyte came damaged (3 bytes"),
                             testing::HasSubstr("4911e516e5aa21d327512e0c8b197616"),
                             testing::HasSubstr("expected 3 with 900150983cd24fb0d6963f7d28e17f72")));
}

TEST_F(CatalogTest, SaysWhyAllFailedAndWhatToDo) {
  FakeSource bad("bad", {{"a-idx3-ubyte", "abd"}}), empty("empty", {});
  ExpectThrowsWith<DataError>(
      [&] {
        FetchFiles(SmallEntry(), dir_, {&bad, &empty});
      },
      {"cannot get a-idx3-ubyte of small", "bad: a-idx3-ubyte came damaged",
       "empty: it is out of a-idx3-ubyte", "into " + dir_.string() + ":",
       "a-idx3-ubyte (md5 900150983cd24fb0d6963f7d28e17f72)",
       "b-idx1-ubyte (md5 f96b697d7cb7938d525a2f31aaf161d0)"});
  EXPECT_TRUE(FilesIn(dir_).empty());
}

TEST_F(CatalogTest, KeepsWhatItGotBeforeAFailure) {
  FakeSource half("half", {{"a-idx3-ubyte", "abc"}});
  try {
    FetchFiles(SmallEntry(), dir_, {&half});
    ADD_FAILURE() << "nothing was thrown";
  } catch (const DataError& error) {
    const std::string message = error.what();
    const std::string by_hand = message.substr(message.find("put these"));
    EXPECT_THAT(by_hand, testing::HasSubstr("b-idx1-ubyte"));
    EXPECT_THAT(by_hand, testing::Not(testing::HasSubstr("a-idx3-ubyte")));
  }
  EXPECT_EQ(FilesIn(dir_), (std::set<std::string>{"a-idx3-ubyte"}));
}

TEST_F(CatalogTest, DoesNotFetchWhatIsRight) {
  FakeSource good("good", kRight);
  FetchFiles(SmallEntry(), dir_, {&good});
  FakeSource never("never", {});
  std::vector<GetEvent::Kind> kinds;
  FetchFiles(SmallEntry(), dir_, {&never}, [&](const GetEvent& event) { kinds.push_back(event.kind); });
  EXPECT_TRUE(never.asked.empty());
  EXPECT_EQ(kinds, std::vector<GetEvent::Kind>(2, GetEvent::Kind::kAlreadyThere));
  ExpectAllRight();
}

TEST_F(CatalogTest, ReplacesADamagedFile) {
  std::filesystem::create_directories(dir_);
  WriteBytes(dir_ / "a-idx3-ubyte", "abd");
  WriteBytes(dir_ / "b-idx1-ubyte", "message digest");
  FakeSource good("good", kRight);
  FetchFiles(SmallEntry(), dir_, {&good});
  EXPECT_EQ(good.asked, std::vector<std::string>{"a-idx3-ubyte"});
  ExpectAllRight();
}

TEST_F(CatalogTest, UnpacksWhatAUserPutThere) {
  std::filesystem::create_directories(dir_);
  WriteBytes(dir_ / "a-idx3-ubyte.gz", GzipBytes("abc"));
  WriteBytes(dir_ / "b.idx1-ubyte", "message digest");
  for (const FileCheck& check : VerifyFiles(SmallEntry(), dir_)) EXPECT_EQ(check.state, FileState::kOk);
  FetchFiles(SmallEntry(), dir_, {});
  EXPECT_EQ(ReadFile(dir_ / "a-idx3-ubyte"), "abc");
  EXPECT_EQ(ReadFile(dir_ / "b-idx1-ubyte"), "message digest");
}

TEST_F(CatalogTest, AProgressThatThrowsInterrupts) {
  FakeSource good("good", kRight);
  const auto interrupt = [](const GetEvent& event) {
    if (event.kind == GetEvent::Kind::kReceiving) throw Interrupted(2);
  };
  EXPECT_THROW(FetchFiles(SmallEntry(), dir_, {&good}, interrupt), Interrupted);
  EXPECT_TRUE(FilesIn(dir_).empty());
}

TEST_F(CatalogTest, SaysWhenTheDirectoryCannotBeMade) {
  WriteBytes(root_.path() / "data", "a file in the way");
  FakeSource good("good", kRight);
  ExpectThrowsWith<RunError>([&] { FetchFiles(SmallEntry(), dir_, {&good}); },
                             {"cannot create " + dir_.string(), "--data-dir"});
}

TEST_F(CatalogTest, VerifiesEachFile) {
  std::vector<FileCheck> checks = VerifyFiles(SmallEntry(), dir_);
  ASSERT_EQ(checks.size(), 2u);
  EXPECT_EQ(checks[0].state, FileState::kMissing);
  EXPECT_EQ(checks[0].path, dir_ / "a-idx3-ubyte");

  std::filesystem::create_directories(dir_);
  WriteBytes(dir_ / "a-idx3-ubyte", "abd");
  const std::string gzip = GzipBytes("message digest");
  WriteBytes(dir_ / "b-idx1-ubyte.gz", gzip.substr(0, gzip.size() - 3));
  checks = VerifyFiles(SmallEntry(), dir_);
  EXPECT_EQ(checks[0].state, FileState::kDamaged);
  EXPECT_EQ(checks[0].expected_md5, "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(checks[0].found_md5, "4911e516e5aa21d327512e0c8b197616");
  EXPECT_EQ(checks[1].state, FileState::kDamaged);
  EXPECT_EQ(checks[1].found_md5, "");
  EXPECT_THAT(checks[1].reason, testing::HasSubstr("damaged gzip"));

  EXPECT_EQ(VerifyDataset("mnist", root_.path()).size(), 4u);
  ExpectThrowsWith<UsageError>([&] { VerifyDataset("minst", root_.path()); }, {"did you mean 'mnist'?"});
  EXPECT_THROW(GetDataset("minst", root_.path()), UsageError);
}

TEST_F(CatalogTest, ListsWhatIsThere) {
  const auto state_of_mnist = [&] {
    for (const DatasetStatus& status : ListDatasets(root_.path())) {
      if (status.name == "mnist") return status.state;
    }
    throw std::runtime_error("mnist is not listed");
  };
  EXPECT_EQ(state_of_mnist(), DatasetState::kAbsent);
  const std::filesystem::path dir = root_.path() / "mnist";
  WriteIdxDataset(dir);  // all four, but not of the right size
  EXPECT_EQ(state_of_mnist(), DatasetState::kIncomplete);
  for (const DataFile& file : FindCatalogEntry("mnist").files) {
    std::filesystem::resize_file(dir / file.name, static_cast<std::uintmax_t>(file.size));
  }
  EXPECT_EQ(state_of_mnist(), DatasetState::kPresent);
  std::filesystem::rename(dir / kIdxTestLabels, dir / "t10k-labels-idx1-ubyte.gz");
  EXPECT_EQ(state_of_mnist(), DatasetState::kPresent);
  std::filesystem::remove(dir / kIdxTestImages);
  EXPECT_EQ(state_of_mnist(), DatasetState::kIncomplete);
  EXPECT_EQ(ListDatasets(root_.path())[0].path, dir);
}

TEST_F(CatalogTest, EntriesAreWhole) {
  std::set<std::string> checksums;
  for (const CatalogEntry& entry : Catalog()) {
    EXPECT_FALSE(entry.description.empty());
    EXPECT_EQ(static_cast<std::int64_t>(entry.normalization.mean.size()), entry.shape.channels);
    EXPECT_EQ(MakeSources(entry).size(), entry.sources.size());
    for (const DataFile& file : entry.files) {
      EXPECT_EQ(file.md5.size(), 32u);
      EXPECT_TRUE(checksums.insert(file.md5).second) << "the same md5 twice: " << file.md5;
    }
  }
}

}  // namespace
}  // namespace swarmsync
