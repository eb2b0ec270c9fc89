// What a synchronizer remembers, saved and loaded again.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <functional>

#include "support/errors.h"
#include "support/ranks.h"
#include "support/test_name.h"
#include "swarmsync/base/error.h"
#include "sync/part.h"

namespace swarmsync {
namespace {

using ::testing::HasSubstr;
using testing::kRanks;
using testing::MessageOf;
using testing::Part;
using testing::Variant;
using testing::Variants;

class StateTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Names, StateTest, ::testing::ValuesIn(SynchronizerNames()),
                         [](const auto& info) { return testing::TestName(info.param); });

// At every step at which it may be saved, in the middle of rounds and of the inertia's lessons too.
TEST_P(StateTest, GoesOnToTheBit) {
  for (const Variant& variant : Variants()) {
    for (const int stop : {0, 1, 3, 5, 9, 24, 31}) {
      testing::RunRanks(kRanks, [&](Communicator& comm) {
        SCOPED_TRACE(variant.name + ", stopped at " + std::to_string(stop));
        // Each has a group of its own, since both may exchange at once.
        const auto other = comm.Split(0, 1);
        Part first(GetParam(), variant, comm), second(GetParam(), variant, *other);
        while (first.sync().steps() < stop) first.Step();
        while (first.sync().quiet_at() != first.sync().steps()) first.Step();
        first.CopyTo(second);
        EXPECT_EQ(second.sync().steps(), first.sync().steps());
        EXPECT_EQ(second.sync().rounds(), first.sync().rounds());
        for (int step = 0; step < 13; ++step) {
          first.Step();
          second.Step();
          ASSERT_EQ(second.weights(), first.weights()) << "after " << step + 1 << " steps";
        }
        first.sync().Drain();
        second.sync().Drain();
        EXPECT_EQ(second.FinalModel(), first.FinalModel());
        EXPECT_EQ(second.sync().rounds(), first.sync().rounds());
        EXPECT_EQ(second.sync().TakeTraces().size(), first.sync().TakeTraces().size());
      });
    }
  }
}

TEST_P(StateTest, OfAnotherWorldIsTakenTo) {
  for (const Variant& variant : Variants()) {
    SCOPED_TRACE(variant.name);
    std::vector<NamedTensors> saved(kRanks);
    testing::RunRanks(kRanks, [&](Communicator& comm) {
      Part part(GetParam(), variant, comm);
      while (part.sync().steps() < 12 || part.sync().quiet_at() != part.sync().steps()) part.Step();
      StateSaver saver;
      part.VisitState(saver);
      saved[static_cast<std::size_t>(comm.rank())] = saver.Take();
    });
    testing::RunRanks(2, [&](Communicator& comm) {
      Part part(GetParam(), variant, comm);
      StateLoader loader(saved[static_cast<std::size_t>(comm.rank())], "memory", at::kCPU,
                         /*same_world=*/false);
      part.VisitState(loader);
      part.sync().CountFrom(18);
      for (int step = 0; step < 7; ++step) part.Step();
      EXPECT_EQ(part.sync().steps(), 25);
      part.sync().Drain();
      for (const float value : part.FinalModel()) EXPECT_TRUE(std::isfinite(value));
    });
  }
}

// What is said to be the same on all ranks is.
TEST_P(StateTest, WhatAllHoldIsAlike) {
  for (const Variant& variant : Variants()) {
    testing::RunRanks(kRanks, [&](Communicator& comm) {
      SCOPED_TRACE(variant.name);
      Part part(GetParam(), variant, comm);
      for (int step = 0; step < 33; ++step) {
        part.Step();
        if (part.sync().quiet_at() != part.sync().steps()) continue;
        StateDigest digest;
        part.sync().VisitState(digest);
        std::string text;
        for (const auto& piece : digest.pieces()) text += fmt::format("{} {}\n", piece.name, piece.checksum);
        for (const std::string& other : comm.AllGather(text)) ASSERT_EQ(other, text) << "after " << step + 1;
      }
    });
  }
}

TEST(State, IsRefusedWhileAnExchangeIsUnderWay) {
  testing::RunRanks(kRanks, [](Communicator& comm) {
    Part part("average", Variants()[8], comm);
    for (int step = 0; step < 3; ++step) part.Step();
    StateSaver saver;
    EXPECT_THAT(MessageOf<UsageError>([&] { part.VisitState(saver); }), HasSubstr("Drain() comes first"));
    part.sync().Drain();
    part.VisitState(saver);
  });
}

TEST(State, OfAnotherAlgorithmIsNotTaken) {
  testing::RunRanks(kRanks, [](Communicator& comm) {
    Part average("average", Variants()[0], comm), easgd("easgd", Variants()[0], comm);
    StateSaver saver;
    average.VisitState(saver);
    StateLoader loader(saver.Take(), "the file", at::kCPU);
    EXPECT_THAT(MessageOf<DataError>([&] { easgd.VisitState(loader); }), HasSubstr("no 'sync.easgd.center'"));
  });
}

}  // namespace
}  // namespace swarmsync
