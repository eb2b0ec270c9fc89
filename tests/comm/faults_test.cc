#include "comm/faults.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/write_faults.h"
#include "support/errors.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/comm/thread_world.h"

namespace swarmsync {
namespace {

using testing::MessageOf;

TEST(ParseFaults, ReadsWhatIsWritten) {
  EXPECT_TRUE(ParseFaults("").empty());
  const std::vector<Fault> faults = ParseFaults("1:kill@40,0:slow=2.5@17,2:refuse=3@1");
  ASSERT_EQ(faults.size(), 3u);
  EXPECT_EQ(faults[0].worker, 1);
  EXPECT_EQ(faults[0].kind, FaultKind::kKill);
  EXPECT_EQ(faults[0].at, 40);
  EXPECT_EQ(faults[1].kind, FaultKind::kSlow);
  EXPECT_EQ(faults[1].amount, 2.5);
  EXPECT_EQ(faults[2].worker, 2);
  EXPECT_EQ(faults[2].amount, 3);
}

TEST(ParseFaults, RefusesTheRestInALine) {
  for (const char* text :
       {"kill", "1:kill", "kill@3", "x:kill@3", "-1:kill@3", "1:kill@0", "1:slow=@3", "1:slow=x@3",
        "1@2:kill", "1:kill@3,,0:kill@1", "1:kill@1e99", "1:slow=inf@3", "1:slow=nan@3"}) {
    const std::string message = MessageOf<UsageError>([&] { ParseFaults(text); });
    EXPECT_NE(message.find("SWARMSYNC_FAULTS"), std::string::npos) << text << ": " << message;
  }
  const std::string message = MessageOf<UsageError>([] { ParseFaults("1:kil@3"); });
  EXPECT_NE(message.find("did you mean 'kill'"), std::string::npos) << message;
}

// Two ranks; what rank 1 had after a sum and a broadcast, and which rank's calls failed.
struct Outcome {
  std::vector<float> sum[2], message[2];
  std::string failed[2];
};

Outcome RunTwo(const std::string& faults) {
  Outcome outcome;
  ThreadWorld world(2, std::chrono::seconds(20));
  world.Run([&](int rank) {
    Faults of_rank(ParseFaults(faults), rank);
    std::unique_ptr<Communicator> comm = of_rank.In(world.Connect(rank));
    try {
      comm->Barrier();
      const at::Tensor sum = at::full({5}, rank + 1.0f), message = at::full({5}, rank + 1.0f);
      comm->AllReduceSum(sum);
      comm->Broadcast(message, 0);
      outcome.sum[rank].assign(sum.data_ptr<float>(), sum.data_ptr<float>() + 5);
      outcome.message[rank].assign(message.data_ptr<float>(), message.data_ptr<float>() + 5);
    } catch (const CommError& error) {
      outcome.failed[rank] = error.what();
      world.Abort("a rank has left");
    }
  });
  return outcome;
}

int Differences(const std::vector<float>& a, const std::vector<float>& b) {
  int differences = 0;
  for (std::size_t i = 0; i < a.size(); ++i) differences += a[i] != b[i];
  return differences;
}

TEST(Faults, WithoutOneAllIsAsEver) {
  const Outcome outcome = RunTwo("7:kill@1,7:drop@1");
  for (const int rank : {0, 1}) {
    EXPECT_EQ(outcome.sum[rank], std::vector<float>(5, 3));
    EXPECT_EQ(outcome.message[rank], std::vector<float>(5, 1));
  }
}

TEST(Faults, ACorruptTensorIsWrongInOneNumberOnOneRank) {
  // The second collective is the sum; the first has no tensor, so the fault waits for it.
  for (const char* faults : {"1:corrupt@2", "1:corrupt@1"}) {
    const Outcome outcome = RunTwo(faults);
    EXPECT_EQ(outcome.sum[0], std::vector<float>(5, 3));
    EXPECT_EQ(Differences(outcome.sum[0], outcome.sum[1]), 1);
    EXPECT_EQ(outcome.message[1], std::vector<float>(5, 1)) << "it happens once";
  }
}

TEST(Faults, ASlowWorkerIsWaitedFor) {
  const double begin = MonotonicSeconds();
  const Outcome outcome = RunTwo("0:slow=0.3@3");
  EXPECT_GE(MonotonicSeconds() - begin, 0.3);
  EXPECT_EQ(outcome.message[1], std::vector<float>(5, 1));
}

TEST(Faults, ConnectionsThatAreClosedEndTheCollective) {
  const Outcome outcome = RunTwo("1:drop@2");
  EXPECT_NE(outcome.failed[1].find("closed its connections"), std::string::npos) << outcome.failed[1];
  EXPECT_EQ(outcome.failed[0], "a rank has left");
}

TEST(Faults, FilesAreRefusedAsOnAFullDiskAndNothingIsLeft) {
  const PrivateDirectory directory;
  const auto path = directory.path() / "file";
  {
    const Faults faults(ParseFaults("3:refuse=2@2"), 3);
    WriteFileAtomically(path, "first");
    for (int i = 0; i < 2; ++i) {
      const std::string message = MessageOf<RunError>([&] { WriteFileAtomically(path, "second"); });
      EXPECT_NE(message.find("No space left"), std::string::npos) << message;
      EXPECT_EQ(ReadFile(path), "first");
    }
    WriteFileAtomically(path, "third");
    EXPECT_EQ(ReadFile(path), "third");
  }
  for (int i = 0; i < 5; ++i) WriteFileAtomically(path, "later");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1);
}

}  // namespace
}  // namespace swarmsync
