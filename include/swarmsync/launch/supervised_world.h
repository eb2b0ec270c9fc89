#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "swarmsync/comm/communicator.h"
#include "swarmsync/launch/membership.h"

namespace swarmsync {

// Tells the workers of a supervisor which generation of the world there is, in a file of a directory that
// only this user can read. Throws RunError.
void WriteGeneration(const std::filesystem::path& directory, const Generation& generation);
// Tells the members of a generation that they are to leave it, in the same way. Throws RunError.
void CallForLeaving(const std::filesystem::path& directory, int generation);

// A supervised worker's side of the membership. One thread.
class SupervisedWorld {
 public:
  // Tells the supervisor that this worker waits for a generation behind `generation`.
  using Ask = std::function<void(int generation, const std::string& why)>;

  // directory: the supervisor's (WriteGeneration()). joins: this worker was started when the others were
  // training already. timeout: of the meeting and of every collective.
  SupervisedWorld(std::filesystem::path directory, int worker, bool joins,
                  std::chrono::duration<double> timeout, Ask ask);

  int worker() const { return worker_; }  // its number in the run, the same in all generations

  // Waits for the next generation and meets its other members; if that fails, for the one behind it. The
  // group of the generation before is to be gone by then, so that nobody waits in it for this worker. Throws
  // Error, which is no CommError, when this worker is not in it any more, or nothing is heard.
  std::unique_ptr<Communicator> Next(const std::string& why);

  const Generation& generation() const { return generation_; }  // that Next() came to; number 0 before

  // Whether the supervisor wants the members to leave this generation. Takes a microsecond.
  bool ChangeIsDue() const;

 private:
  Generation Await() const;
  void AwaitMembers() const;
  std::unique_ptr<Communicator> Meet() const;

  std::filesystem::path directory_;
  int worker_;
  bool joins_;
  std::chrono::duration<double> timeout_;
  Ask ask_;
  Generation generation_;
};

}  // namespace swarmsync
