#include "base/subprocess.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"

extern char** environ;

namespace swarmsync {
namespace {

// A child that is killed and waited for unless it has been seen to end. It shares our process group, so a
// terminal's Ctrl-C reaches both.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    if (pid_ < 0) return;
    kill(pid_, SIGKILL);
    int status;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Whether it has ended; then `status` is as waitpid gives it.
  bool HasEnded(int* status) {
    if (waitpid(pid_, status, WNOHANG) != pid_) return false;
    pid_ = -1;
    return true;
  }

 private:
  pid_t pid_;
};

// posix_spawn's two descriptions of what the child does before it executes the program.
class SpawnSetup {
 public:
  explicit SpawnSetup(const SubprocessOptions& options) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addchdir_np(&actions_, options.working_directory.c_str());
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, options.output.c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions_, STDOUT_FILENO, STDERR_FILENO);
    // The thread that calls may have signals blocked; the program is not to inherit that.
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_init(&attributes_);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

SubprocessResult RunSubprocess(const SubprocessOptions& options) {
  std::vector<char*> arguments;
  for (const std::string& argument : options.arguments)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);

  const SpawnSetup setup(options);
  pid_t pid = -1;
  const int error =
      posix_spawnp(&pid, arguments[0], setup.actions(), setup.attributes(), arguments.data(), environ);
  if (error == ENOENT) return {SubprocessResult::Kind::kNotFound};
  if (error != 0) {
    throw RunError(fmt::format("cannot run {}: {}", options.arguments[0], std::strerror(error)));
  }
  Child child(pid);
  const double deadline = MonotonicSeconds() + std::chrono::duration<double>(options.timeout).count();
  int status = 0;
  while (!child.HasEnded(&status)) {
    if (MonotonicSeconds() > deadline) return {SubprocessResult::Kind::kTimedOut};
    if (options.on_wait) options.on_wait();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  if (WIFSIGNALED(status)) return {SubprocessResult::Kind::kSignalled, WTERMSIG(status)};
  return {SubprocessResult::Kind::kExited, WEXITSTATUS(status)};
}

}  // namespace swarmsync
