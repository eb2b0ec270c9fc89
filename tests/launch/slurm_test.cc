#include "launch/slurm.h"

#include <gtest/gtest.h>

namespace swarmsync {
namespace {

TEST(Slurm, TheFirstHostOfAList) {
  EXPECT_EQ(FirstHostOf("node7"), "node7");
  EXPECT_EQ(FirstHostOf("login,node[1-3]"), "login");
  EXPECT_EQ(FirstHostOf("node[03-10,12]"), "node03");
  EXPECT_EQ(FirstHostOf("node[5,7],other"), "node5");
  EXPECT_EQ(FirstHostOf("rack[1-2]node[08-09].cluster"), "rack1node08.cluster");
  EXPECT_EQ(FirstHostOf(""), "");
  EXPECT_EQ(FirstHostOf("node[4"), "node4");
}

TEST(Slurm, TasksOnEachNode) {
  EXPECT_EQ(TasksOnNode("3", 0), 3);
  EXPECT_EQ(TasksOnNode("3", 1), std::nullopt);
  EXPECT_EQ(TasksOnNode("4(x3),2", 0), 4);
  EXPECT_EQ(TasksOnNode("4(x3),2", 2), 4);
  EXPECT_EQ(TasksOnNode("4(x3),2", 3), 2);
  EXPECT_EQ(TasksOnNode("4(x3),2", 4), std::nullopt);
  for (const char* nonsense : {"", "x", "4(", "4(x", "4(x2", "4(y2)"})
    EXPECT_EQ(TasksOnNode(nonsense, 1), std::nullopt) << nonsense;
}

TEST(Slurm, StepsOfSrunAndOthers) {
  EXPECT_TRUE(IsStepOfSrun("0"));
  EXPECT_TRUE(IsStepOfSrun("4711"));
  EXPECT_FALSE(IsStepOfSrun(""));
  EXPECT_FALSE(IsStepOfSrun("batch"));
  EXPECT_FALSE(IsStepOfSrun("4294967290")) << "an interactive shell";
  EXPECT_FALSE(IsStepOfSrun("4294967291")) << "a batch script";
}

TEST(Slurm, StepsMeetAtPortsOfTheirOwn) {
  EXPECT_EQ(PortOfStep(100, 0), PortOfStep(100, 0));
  EXPECT_NE(PortOfStep(100, 0), PortOfStep(100, 1));
  EXPECT_NE(PortOfStep(100, 0), PortOfStep(101, 0));
  for (std::uint64_t job = 1; job < 100'000'000; job = job * 3 + 1) {
    EXPECT_GE(PortOfStep(job, 0), 1024);
    EXPECT_LT(PortOfStep(job, 0), 32768);
  }
}

}  // namespace
}  // namespace swarmsync
