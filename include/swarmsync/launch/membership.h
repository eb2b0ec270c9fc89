#pragma once

#include <optional>
#include <string>
#include <vector>

namespace swarmsync {

// A membership of the world.
struct Generation {
  int number = 0;            // from 1 on; 0: there has been none yet
  std::vector<int> members;  // workers, ascending: rank r is members[r]
  std::string reason;        // why it is not the one before, in words
  bool last = false;         // too few are left: they keep what there is, and end
};

// Decides who is in the world of a supervised run. It is told what happens and says what to do: no processes,
// no clock, no files here. Generation 1 has all workers. A worker is a member that works; or waits for the
// next generation, because its own is broken, or because it has just been started; or is lost, or done.
class Membership {
 public:
  // What the decisions depend on.
  struct Rules {
    int workers = 1;       // of the run: 0 to workers - 1
    int min_workers = 1;   // with fewer, the next generation is the last
    int max_restarts = 0;  // of all workers together
    // Seconds that a member may take to leave a generation that is over because another was lost or joins, of
    // which it hears between two steps: no less than the timeout of its collectives. Where several have not
    // left, twice as long, and the grace.
    double patience = 60, grace = 2;  // seconds, where others have waited for it in vain already
  };
  // Begins with generation 1.
  explicit Membership(const Rules& rules);

  // Its process has gone, with its work not done. how: in words, such as "was killed by signal 9".
  void OnEnded(int worker, const std::string& how);
  // Its process has gone, with its work done.
  void OnDone(int worker);
  // It waits for a generation behind the one of this number. why: what made it leave; "" from one that was
  // started.
  void OnWaiting(int worker, int generation, const std::string& why);

  // What is to be done. Empty or false: nothing of that.
  struct Decision {
    bool change_is_due = false;       // members are to leave their generation
    std::optional<Generation> next;   // begins
    std::vector<int> expel;           // end these; they count as lost
    std::vector<int> restart;         // start these again
    std::optional<std::string> over;  // nobody is left: why
  };
  // What to do now. now: seconds, never less than before.
  Decision Decide(double now);

  // The one that has begun last.
  const Generation& generation() const { return generation_; }

 private:
  enum class State { kWorks, kWaits, kStarts, kLost, kDone };

  bool IsMember(int worker) const;
  bool ChangeIsDue() const;
  void Lose(int worker, const std::string& how);

  Rules rules_;
  Generation generation_;
  std::vector<State> states_;  // by worker
  int restarts_ = 0;
  std::optional<double> due_since_;
  std::vector<std::string> reasons_;  // of the next change
};

}  // namespace swarmsync
