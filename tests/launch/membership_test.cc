// Decisions about who is in the world, without processes.

#include "swarmsync/launch/membership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Membership::Rules Rules(int workers, int min_workers = 1, int max_restarts = 0) {
  Membership::Rules rules;
  rules.workers = workers;
  rules.min_workers = min_workers;
  rules.max_restarts = max_restarts;
  rules.patience = 60;
  rules.grace = 2;
  return rules;
}

TEST(Membership, BeginsWithAllAndNothingToDo) {
  Membership membership(Rules(3));
  EXPECT_EQ(membership.generation().number, 1);
  EXPECT_THAT(membership.generation().members, ElementsAre(0, 1, 2));
  const auto decision = membership.Decide(0);
  EXPECT_FALSE(decision.change_is_due);
  EXPECT_FALSE(decision.next || decision.over);
}

TEST(Membership, GoesOnAtOnceWhenAllSurvivorsWait) {
  Membership membership(Rules(3));
  membership.OnEnded(1, "was killed");
  auto decision = membership.Decide(10);
  EXPECT_TRUE(decision.change_is_due);
  EXPECT_FALSE(decision.next);
  membership.OnWaiting(0, 1, "lost rank 1");
  EXPECT_FALSE(membership.Decide(11).next);
  membership.OnWaiting(2, 1, "lost rank 1");
  decision = membership.Decide(12);
  ASSERT_TRUE(decision.next);
  EXPECT_EQ(decision.next->number, 2);
  EXPECT_THAT(decision.next->members, ElementsAre(0, 2));
  EXPECT_EQ(decision.next->reason, "worker 1 was killed");
  EXPECT_FALSE(decision.next->last);
  EXPECT_FALSE(membership.Decide(13).change_is_due);
}

// They compute, and hear of it between two steps.
TEST(Membership, IsPatientWithThoseWhoHaveNotNoticedALoss) {
  Membership membership(Rules(3));
  membership.OnEnded(1, "was killed");
  membership.OnWaiting(0, 1, "lost rank 1");
  membership.Decide(10);
  EXPECT_THAT(membership.Decide(69).expel, IsEmpty());
  const auto decision = membership.Decide(71);
  EXPECT_THAT(decision.expel, ElementsAre(2));
  ASSERT_TRUE(decision.next);
  EXPECT_THAT(decision.next->members, ElementsAre(0));
  EXPECT_THAT(decision.next->reason,
              AllOf(HasSubstr("worker 1 was killed"), HasSubstr("worker 2 did not answer")));
}

// Worker 0 sits in a collective with worker 1, which is frozen, when another joins.
TEST(Membership, WaitsForThoseWhoWaitForAFrozenOne) {
  Membership membership(Rules(3, 1, /*max_restarts=*/1));
  membership.OnEnded(2, "was killed");
  membership.OnWaiting(0, 1, "lost rank 2");
  membership.OnWaiting(1, 1, "lost rank 2");
  ASSERT_TRUE(membership.Decide(0).next);
  ASSERT_THAT(membership.Decide(1).restart, ElementsAre(2));
  membership.OnWaiting(2, 0, "");
  EXPECT_TRUE(membership.Decide(100).change_is_due);
  EXPECT_THAT(membership.Decide(165).expel, IsEmpty()) << "its collective may end a timeout after it began";
  membership.OnWaiting(0, 2, "rank 1 did not come");
  const auto decision = membership.Decide(166);
  EXPECT_THAT(decision.expel, ElementsAre(1));
  ASSERT_TRUE(decision.next);
  EXPECT_THAT(decision.next->members, ElementsAre(0, 2));
}

// The others have waited for it already.
TEST(Membership, ExpelsWhoDoesNotAnswer) {
  Membership membership(Rules(3));
  membership.OnWaiting(0, 1, "rank 1 did not come");
  membership.OnWaiting(2, 1, "rank 1 did not come");
  EXPECT_THAT(membership.Decide(10).expel, IsEmpty());
  EXPECT_THAT(membership.Decide(11.9).expel, IsEmpty());
  const auto decision = membership.Decide(12.1);
  EXPECT_THAT(decision.expel, ElementsAre(1));
  ASSERT_TRUE(decision.next);
  EXPECT_THAT(decision.next->members, ElementsAre(0, 2));
  EXPECT_THAT(decision.next->reason,
              AllOf(HasSubstr("worker 0: rank 1 did not come"), HasSubstr("worker 1 did not")));
}

TEST(Membership, ALostWorkerIsRestartedWhenTheOthersGoOnAndJoins) {
  Membership membership(Rules(2, 1, 1));
  membership.OnEnded(1, "was killed");
  EXPECT_THAT(membership.Decide(0).restart, IsEmpty()) << "first the others go on";
  membership.OnWaiting(0, 1, "");
  ASSERT_TRUE(membership.Decide(1).next);
  EXPECT_THAT(membership.Decide(1).restart, ElementsAre(1));
  EXPECT_THAT(membership.Decide(2).restart, IsEmpty());
  EXPECT_FALSE(membership.Decide(2).change_is_due) << "it still starts";
  membership.OnWaiting(1, 0, "");
  EXPECT_TRUE(membership.Decide(3).change_is_due);
  membership.OnWaiting(0, 2, "the membership changes");
  const auto decision = membership.Decide(4);
  ASSERT_TRUE(decision.next);
  EXPECT_EQ(decision.next->number, 3);
  EXPECT_THAT(decision.next->members, ElementsAre(0, 1));
  EXPECT_EQ(decision.next->reason, "worker 1 joins");
  membership.OnEnded(1, "was killed");
  membership.OnWaiting(0, 3, "");
  EXPECT_TRUE(membership.Decide(5).next);
  EXPECT_THAT(membership.Decide(5).restart, IsEmpty()) << "it was the last restart";
}

TEST(Membership, WhatIsSaidOfAnEarlierGenerationIsOld) {
  Membership membership(Rules(3));
  membership.OnEnded(1, "was killed");
  membership.OnWaiting(0, 1, "");
  membership.OnWaiting(2, 1, "");
  ASSERT_TRUE(membership.Decide(0).next);
  membership.OnWaiting(0, 1, "late");
  EXPECT_FALSE(membership.Decide(1).change_is_due);
}

TEST(Membership, TooFewAreTheLastGeneration) {
  Membership membership(Rules(3, 3, 5));
  membership.OnEnded(2, "was killed");
  membership.OnWaiting(0, 1, "");
  membership.OnWaiting(1, 1, "");
  const auto decision = membership.Decide(0);
  ASSERT_TRUE(decision.next);
  EXPECT_TRUE(decision.next->last);
  EXPECT_THAT(membership.Decide(1).restart, IsEmpty());
  membership.OnEnded(0, "ended");
  EXPECT_FALSE(membership.Decide(2).over);
  membership.OnEnded(1, "ended");
  EXPECT_TRUE(membership.Decide(3).over);
}

TEST(Membership, IsOverWhenNobodyIsLeft) {
  Membership membership(Rules(2, 1, 5));
  membership.OnEnded(0, "was killed");
  membership.OnEnded(1, "was killed too");
  const auto decision = membership.Decide(0);
  ASSERT_TRUE(decision.over);
  EXPECT_THAT(*decision.over, AllOf(HasSubstr("worker 0 was killed"), HasSubstr("worker 1 was killed too")));
  EXPECT_THAT(decision.restart, IsEmpty()) << "it would have nothing to go on with";
}

TEST(Membership, WhoIsDoneIsNotMissed) {
  Membership membership(Rules(3, 1, 5));
  membership.OnDone(0);
  membership.OnEnded(1, "was killed at the very end");
  membership.OnWaiting(2, 1, "lost rank 1");
  const auto decision = membership.Decide(0);
  ASSERT_TRUE(decision.next);
  EXPECT_THAT(decision.next->members, ElementsAre(2));
  EXPECT_THAT(membership.Decide(1).restart, IsEmpty()) << "the training is over";
  membership.OnDone(2);
  EXPECT_FALSE(membership.Decide(2).over);
}

TEST(Membership, WhoJoinsWhenTheOthersAreDoneIsSentAway) {
  Membership membership(Rules(2, 1, 1));
  membership.OnEnded(1, "was killed");
  membership.OnWaiting(0, 1, "");
  ASSERT_TRUE(membership.Decide(0).next);
  ASSERT_THAT(membership.Decide(0).restart, ElementsAre(1));
  membership.OnDone(0);
  membership.OnWaiting(1, 0, "");
  const auto decision = membership.Decide(1);
  EXPECT_THAT(decision.expel, ElementsAre(1)) << "it has nothing to go on with";
  EXPECT_FALSE(decision.next || decision.over);
}

TEST(Membership, WhoJoinsIsPatient) {
  Membership membership(Rules(2, 1, 1));
  membership.OnEnded(1, "was killed");
  membership.OnWaiting(0, 1, "");
  ASSERT_TRUE(membership.Decide(0).next);
  ASSERT_THAT(membership.Decide(0).restart, ElementsAre(1));
  membership.OnWaiting(1, 0, "");
  membership.Decide(1);
  const auto decision = membership.Decide(60);
  EXPECT_TRUE(decision.change_is_due);
  EXPECT_THAT(decision.expel, IsEmpty());
}

TEST(Membership, BehindTheLastGenerationIsNone) {
  Membership membership(Rules(3, 3, 0));
  membership.OnEnded(2, "was killed");
  membership.OnWaiting(0, 1, "");
  membership.OnWaiting(1, 1, "");
  ASSERT_TRUE(membership.Decide(0).next->last);
  membership.OnEnded(0, "was killed");
  membership.OnWaiting(1, 2, "lost rank 0");
  EXPECT_TRUE(membership.Decide(1).over);
}

// Workers that die, freeze, notice and join at random, as processes would. Whatever happens: generations
// follow each other, each with a reason; none begins while a member of the one before may still work in it;
// nobody waits without an end; and who is expelled is never in a later generation without having been started
// again.
TEST(Membership, HoldsInRandomHistories) {
  enum class Process { kWorks, kFrozen, kWaits, kStarts, kGone, kDone };
  for (unsigned seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto chance = [&](double p) { return std::uniform_real_distribution<>()(random) < p; };
    const int workers = 1 + static_cast<int>(random() % 5), least = 1 + static_cast<int>(random() % workers);
    Membership membership(Rules(workers, least, static_cast<int>(random() % 6)));
    std::vector<Process> processes(static_cast<std::size_t>(workers), Process::kWorks);
    std::vector<int> knows(static_cast<std::size_t>(workers), 1);  // the generation that each works in
    std::vector<double> waits_since(static_cast<std::size_t>(workers), -1);
    int restarts = 0;
    bool over = false, due = false;
    double now = 0;
    for (int event = 0; event < 400 && !over; ++event) {
      now += 0.5;
      const double calm = event < 250 ? 0.02 : 0;  // in the end nothing happens any more
      for (int worker = 0; worker < workers; ++worker) {
        Process& process = processes[static_cast<std::size_t>(worker)];
        const bool alive = process != Process::kGone && process != Process::kDone;
        if (alive && chance(calm)) {
          process = Process::kGone;
          membership.OnEnded(worker, "was killed");
        } else if (process == Process::kWorks && chance(calm)) {
          process = Process::kFrozen;
        } else if (process == Process::kStarts && chance(0.3)) {
          process = Process::kWaits;
          waits_since[static_cast<std::size_t>(worker)] = now;
          membership.OnWaiting(worker, 0, "");
        } else if (process == Process::kWorks) {
          // It notices a loss, is told, or has waited in vain for who is frozen.
          bool broken = false;
          for (const int member : membership.generation().members) {
            const Process other = processes[static_cast<std::size_t>(member)];
            broken = broken || other == Process::kGone || (other == Process::kFrozen && chance(0.1));
          }
          if ((due && chance(0.5)) || (broken && chance(0.5))) {
            process = Process::kWaits;
            waits_since[static_cast<std::size_t>(worker)] = now;
            membership.OnWaiting(worker, knows[static_cast<std::size_t>(worker)], "a failure");
          }
        }
      }
      const Generation before = membership.generation();
      const auto decision = membership.Decide(now);
      due = decision.change_is_due;
      for (const int worker : decision.expel) {
        ASSERT_NE(processes[static_cast<std::size_t>(worker)], Process::kGone);
        processes[static_cast<std::size_t>(worker)] = Process::kGone;
      }
      for (const int worker : decision.restart) {
        ASSERT_EQ(processes[static_cast<std::size_t>(worker)], Process::kGone);
        processes[static_cast<std::size_t>(worker)] = Process::kStarts;
        ++restarts;
      }
      if (decision.next) {
        const Generation& next = *decision.next;
        ASSERT_EQ(next.number, before.number + 1);
        ASSERT_FALSE(before.last);
        ASSERT_FALSE(next.reason.empty());
        ASSERT_FALSE(next.members.empty());
        ASSERT_TRUE(std::is_sorted(next.members.begin(), next.members.end()));
        ASSERT_EQ(next.last, static_cast<int>(next.members.size()) < least);
        for (const int worker : before.members) {
          const Process process = processes[static_cast<std::size_t>(worker)];
          ASSERT_TRUE(process != Process::kWorks && process != Process::kFrozen)
              << "it may still work in the old one";
        }
        for (const int worker : next.members) {
          ASSERT_EQ(processes[static_cast<std::size_t>(worker)], Process::kWaits);
          processes[static_cast<std::size_t>(worker)] = Process::kWorks;
          knows[static_cast<std::size_t>(worker)] = next.number;
        }
        for (const int worker : next.members) waits_since[static_cast<std::size_t>(worker)] = -1;
      }
      over = decision.over.has_value() || membership.generation().last;
      for (int worker = 0; worker < workers && !over; ++worker) {
        if (processes[static_cast<std::size_t>(worker)] != Process::kWaits) continue;
        ASSERT_LT(now - waits_since[static_cast<std::size_t>(worker)], 65)
            << "worker " << worker << " waits for ever";
      }
    }
    ASSERT_LE(restarts, 5);
    if (over) continue;
    // A calm world has no one who waits.
    EXPECT_FALSE(membership.Decide(now).change_is_due &&
                 std::none_of(processes.begin(), processes.end(), [](Process p) {
                   return p == Process::kFrozen || p == Process::kWorks || p == Process::kStarts;
                 }));
  }
}

}  // namespace
}  // namespace swarmsync
