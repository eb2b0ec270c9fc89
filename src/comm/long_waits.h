#pragma once

#include <mutex>
#include <vector>

namespace swarmsync {

constexpr double kLookAround = 0.05;  // seconds between two looks at whom one waits for

// What a rank waits for in a collective.
struct Wait {
  int rank = 0;              // who waits, in its group
  int size = 1;              // of that group
  double since = 0;          // MonotonicSeconds()
  double timeout = 0;        // seconds after which it gives up
  std::vector<int> awaited;  // ranks of the group; empty: not known

  // Of all that wait for the same, one tells of it: the first that is not awaited itself.
  bool tells() const;
};

// Shows, while it lives, that a rank of this process waits. Belongs to the thread that waits.
class LongWait {
 public:
  explicit LongWait(Wait wait);
  ~LongWait();
  LongWait(const LongWait&) = delete;
  LongWait& operator=(const LongWait&) = delete;

  void Awaits(std::vector<int> ranks);

 private:
  friend std::vector<Wait> WaitsBegunBefore(double moment);
  Wait wait_;
};

// The waits of all threads of this process that are under way and began before that moment. Any thread.
std::vector<Wait> WaitsBegunBefore(double moment);

}  // namespace swarmsync
