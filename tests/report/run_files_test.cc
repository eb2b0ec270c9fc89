#include "swarmsync/report/run_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "support/errors.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MessageOf;
using ::testing::Not;

// Paths of all files and directories below one, relative to it, sorted.
std::vector<std::string> Below(const fs::path& directory) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    names.push_back(fs::relative(entry.path(), directory).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

void Touch(const fs::path& path) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << "x";
}

class RunDirectory : public ::testing::Test {
 protected:
  fs::path Path(const std::string& name) const { return directory_.path() / name; }

  // The message with which it is refused.
  std::string Refusal(const fs::path& directory, Existing existing = Existing::kRefuse) const {
    const std::string message = MessageOf<UsageError>([&] { PrepareRunDirectory({directory}, existing); });
    EXPECT_THAT(message, AllOf(HasSubstr("--out"), HasSubstr(directory.string()), HasSubstr("name another"),
                               Not(HasSubstr("\n"))));
    return message;
  }

 private:
  PrivateDirectory directory_;
};

TEST_F(RunDirectory, FilesHaveTheNamesOfTheContract) {
  const RunFiles files{"/runs/one"};
  EXPECT_EQ(files.config(), "/runs/one/config.json");
  EXPECT_EQ(files.workers(), "/runs/one/workers.json");
  EXPECT_EQ(files.metrics(), "/runs/one/metrics.jsonl");
  EXPECT_EQ(files.summary(), "/runs/one/summary.json");
  EXPECT_EQ(files.model(), "/runs/one/model.safetensors");
  EXPECT_NE(files.worker_log(0), files.worker_log(11));
  EXPECT_EQ(files.worker_log(11).parent_path().parent_path(), "/runs/one");
}

TEST_F(RunDirectory, ANewOneIsMadeWithItsParents) {
  const RunFiles files{Path("a/b/c")};
  PrepareRunDirectory(files, Existing::kRefuse);
  EXPECT_TRUE(fs::is_directory(files.directory));
  EXPECT_TRUE(fs::is_directory(files.worker_log(0).parent_path()));
}

TEST_F(RunDirectory, AnEmptyOneIsTaken) {
  const RunFiles files{Path("empty")};
  fs::create_directory(files.directory);
  PrepareRunDirectory(files, Existing::kRefuse);
  EXPECT_TRUE(fs::is_directory(files.worker_log(0).parent_path()));
}

TEST_F(RunDirectory, OneThatHoldsAnythingIsRefused) {
  Touch(Path("full/notes.txt"));
  EXPECT_THAT(Refusal(Path("full")), AllOf(HasSubstr("not empty"), HasSubstr("--overwrite")));
  EXPECT_THAT(Below(Path("full")), ElementsAre("notes.txt"));

  Touch(Path("hidden/.git"));
  Refusal(Path("hidden"));
  fs::create_directories(Path("nested/logs"));
  Refusal(Path("nested"));
}

TEST_F(RunDirectory, ASecondRunIntoItIsRefused) {
  const RunFiles files{Path("twice")};
  PrepareRunDirectory(files, Existing::kRefuse);
  Refusal(files.directory);
}

TEST_F(RunDirectory, OverwriteRemovesTheEarlierRunAndNothingElse) {
  const RunFiles files{Path("run")};
  PrepareRunDirectory(files, Existing::kRefuse);
  for (const fs::path& file :
       {files.config(), files.workers(), files.metrics(), files.summary(), files.model(), files.trace(),
        files.worker_log(0), files.worker_log(3), files.trace_part(1),
        files.directory / "events.out.tfevents.0123456789.host.1"}) {
    Touch(file);
  }
  for (const char* strange :
       {"notes.txt", "events.txt", "model.safetensors.best", "kept/config.json", "config.json.orig"}) {
    Touch(files.directory / strange);
  }
  PrepareRunDirectory(files, Existing::kOverwrite);
  EXPECT_THAT(Below(files.directory),
              ElementsAre("config.json.orig", "events.txt", "kept", "kept/config.json", "logs",
                          "model.safetensors.best", "notes.txt"));
}

TEST_F(RunDirectory, OverwriteMakesANewOneToo) {
  PrepareRunDirectory({Path("fresh")}, Existing::kOverwrite);
  EXPECT_THAT(Below(Path("fresh")), ElementsAre("logs"));
}

TEST_F(RunDirectory, ARegularFileIsRefused) {
  Touch(Path("file"));
  for (const Existing existing : {Existing::kRefuse, Existing::kOverwrite}) {
    EXPECT_THAT(Refusal(Path("file"), existing), HasSubstr("not a directory"));
    EXPECT_THAT(Refusal(Path("file/run"), existing), HasSubstr("Not a directory"));
    EXPECT_THAT(Refusal(Path("file/a/b"), existing), HasSubstr("Not a directory"));
  }
  EXPECT_TRUE(fs::is_regular_file(Path("file")));
}

TEST_F(RunDirectory, WhatCannotBeCreatedIsRefused) {
  Refusal("/proc/run");
  Refusal("/dev/null");
  Refusal(Path(std::string(300, 'x')));
}

TEST_F(RunDirectory, OneWithoutWritePermissionIsRefused) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere; needs a user without privileges";
  fs::create_directory(Path("locked"));
  fs::permissions(Path("locked"), fs::perms::owner_read | fs::perms::owner_exec);
  Refusal(Path("locked"));
  Refusal(Path("locked/run"));
}

TEST_F(RunDirectory, UnfinishedFilesAreRemovedAndNothingElse) {
  const RunFiles files{Path("run")};
  for (const char* name : {"config.json", "summary.json", "model.safetensors", "model.safetensors.best01x",
                           "notes.AbCdEf", "xsummary.json.AbCdEf", "logs/worker-0.log",
                           "model.safetensors.1234567", "model.safetensors.12345"}) {
    Touch(files.directory / name);
  }
  const std::vector<std::string> before = Below(files.directory);
  for (const char* name : {"config.json.AbCdEf", "workers.json.000000", "summary.json.zZ9Yy8",
                           "model.safetensors.q1w2e3", "metrics.jsonl.q1w2e3"}) {
    Touch(files.directory / name);
  }
  RemoveUnfinished(files);
  EXPECT_EQ(Below(files.directory), before);
}

TEST_F(RunDirectory, WhatAWriterThatWasKilledLeavesIsUnfinished) {
  const RunFiles files{Path("run")};
  PrepareRunDirectory(files, Existing::kRefuse);
  AtomicFile file(files.model());
  file.Write("half a model");
  EXPECT_THAT(Below(files.directory), ElementsAre("logs", HasSubstr("model.safetensors.")));
  RemoveUnfinished(files);
  EXPECT_THAT(Below(files.directory), ElementsAre("logs"));
}

TEST_F(RunDirectory, NothingUnfinishedInADirectoryThatIsNotThere) { RemoveUnfinished({Path("nowhere")}); }

}  // namespace
}  // namespace swarmsync
