#include "compare/run_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/errors.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

using ::testing::HasSubstr;
using testing::MessageOf;

class RunStoreTest : public ::testing::Test {
 protected:
  std::filesystem::path Path() const { return directory_.path() / "runs.jsonl"; }

  static RunRecord Record(const std::string& seed, double accuracy, Stage stage = Stage::kFinal) {
    RunRecord record;
    record.stage = stage;
    record.flags = {{"seed", seed}, {"lr", "0.1"}};
    record.result = {{"test_accuracy", accuracy}, {"validation_accuracy", accuracy / 2}};
    record.epochs = {{{"epoch", 1}}};
    return record;
  }
  static RunRecord Failed(const std::string& seed) {
    RunRecord record;
    record.flags = {{"seed", seed}};
    record.failed = true;
    record.message = "diverged \"at\" once\n";
    return record;
  }

  PrivateDirectory directory_;
};

TEST_F(RunStoreTest, FindsWhatWasAddedAlsoWhenOpenedAgain) {
  for (int time = 0; time < 2; ++time) {
    RunStore store(Path());
    if (time == 0) {
      EXPECT_EQ(store.Find(Record("1", 0).flags), nullptr);
      store.Add(Record("1", 0.75));
      store.Add(Failed("2"));
    }
    const RunRecord* record = store.Find(Record("1", 0).flags);
    ASSERT_NE(record, nullptr);
    EXPECT_EQ(record->stage, Stage::kFinal);
    EXPECT_FALSE(record->failed);
    EXPECT_EQ(record->result.at("test_accuracy"), 0.75);
    EXPECT_EQ(record->epochs.size(), 1u);
    const RunRecord* failed = store.Find(Failed("2").flags);
    ASSERT_NE(failed, nullptr);
    EXPECT_TRUE(failed->failed);
    EXPECT_EQ(failed->message, Failed("2").message);
    EXPECT_EQ(store.Find(Flags{{"seed", "1"}}), nullptr) << "other flags, another run";
  }
}

TEST_F(RunStoreTest, DropsALineThatItsWriterWasKilledIn) {
  { RunStore(Path()).Add(Record("1", 0.5)); }
  const std::string whole = ReadFile(Path());
  for (const std::size_t kept : {std::size_t{1}, whole.size() / 2, whole.size() - 1}) {
    WriteFileAtomically(Path(), whole + whole.substr(0, kept));
    {
      RunStore store(Path());
      EXPECT_NE(store.Find(Record("1", 0).flags), nullptr);
      store.Add(Record("2", 0.5));
    }
    RunStore again(Path());
    EXPECT_NE(again.Find(Record("2", 0).flags), nullptr);
  }
}

TEST_F(RunStoreTest, ALineThatIsNoRecordIsADataErrorWithItsNumber) {
  { RunStore(Path()).Add(Record("1", 0.5)); }
  const std::string whole = ReadFile(Path());
  for (const std::string& bad :
       {std::string("{"), std::string("[]"), std::string("{}"), std::string("not json"),
        std::string(R"({"stage":"final","flags":{},"status":"done"})"),
        std::string(R"({"stage":"final","flags":{},"status":"done","result":{"test_accuracy":"1"}})"),
        std::string(R"({"stage":"tune","flags":{},"status":"done","result":{"test_accuracy":1}})"),
        std::string(1'000'000, '[')}) {
    WriteFileAtomically(Path(), whole + bad + "\n" + whole);
    EXPECT_THAT(MessageOf<DataError>([&] { RunStore store(Path()); }), HasSubstr("line 2"))
        << bad.substr(0, 100);
  }
}

TEST_F(RunStoreTest, IsForOneComparisonAtATime) {
  const RunStore first(Path());
  EXPECT_THAT(MessageOf<UsageError>([&] { RunStore second(Path()); }), HasSubstr("another comparison"));
}

TEST_F(RunStoreTest, OutcomesAreAccuraciesOfTheStageAndNegativeForFailures) {
  RunStore store(Path());
  store.Add(Record("1", 0.5));
  store.Add(Record("101", 0.5, Stage::kTune));
  store.Add(Failed("2"));
  const Outcomes outcomes = OutcomesIn(store);
  EXPECT_EQ(outcomes(Record("1", 0).flags), 0.5);
  EXPECT_EQ(outcomes(Record("101", 0).flags), 0.25);
  EXPECT_LT(outcomes(Failed("2").flags).value(), 0);
  EXPECT_EQ(outcomes(Record("3", 0).flags), std::nullopt);
  store.ForgetFailures();
  EXPECT_EQ(outcomes(Failed("2").flags), std::nullopt);
  EXPECT_EQ(outcomes(Record("1", 0).flags), 0.5);
}

}  // namespace
}  // namespace swarmsync
