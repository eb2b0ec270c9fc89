// A single thread, no signal handlers: SIGCHLD and the signals that stop a run are blocked and taken with
// sigtimedwait between two looks at the workers' status pipes.

#include "swarmsync/launch/supervisor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>

#include "swarmsync/base/clock.h"
#include "swarmsync/base/file.h"
#include "swarmsync/launch/supervised_world.h"

namespace swarmsync {
namespace {

constexpr double kTermSeconds = 1.0;      // between SIGTERM and SIGKILL
constexpr double kCollectSeconds = 0.25;  // after a failure, for the failures that came with it
constexpr int kPollMilliseconds = 20;
constexpr int kChildStatusFd = 3;

// The signals that Supervise() takes itself are blocked while one of these lives.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigemptyset(&set_);
    for (const int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) sigaddset(&set_, signal);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

  const sigset_t& before() const { return before_; }

  // A signal that asks to stop, if one has come.
  std::optional<int> TakeStop() const {
    timespec none{};
    for (int signal; (signal = sigtimedwait(&set_, nullptr, &none)) > 0;) {
      if (signal != SIGCHLD) return signal;
    }
    return std::nullopt;
  }

 private:
  sigset_t set_{}, before_{};
};

class Worker {
 public:
  // appends: to the log of one before.
  Worker(const WorkerCommand& command, int rank, const sigset_t& signals, bool appends = false);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  pid_t pid() const { return pid_; }
  int status_fd() const { return status_fd_; }
  const std::filesystem::path& log() const { return log_; }
  bool running() const { return running_; }
  bool failed() const { return !running_ && !(WIFEXITED(wait_status_) && WEXITSTATUS(wait_status_) == 0); }
  int wait_status() const { return wait_status_; }

  // Notices whether it has ended.
  void Reap(int options) {
    if (running_ && waitpid(pid_, &wait_status_, options) == pid_) running_ = false;
  }
  void Signal(int signal) const {
    if (running_) kill(pid_, signal);
  }
  // Whether something has stopped it (SIGSTOP), so that it cannot answer.
  bool IsStopped() const;

  // The complete lines that have come through the pipe.
  std::vector<std::string> TakeLines();

 private:
  pid_t pid_ = -1;
  int status_fd_ = -1;
  std::filesystem::path log_;
  bool running_ = true;
  int wait_status_ = 0;
  std::string unread_;
};

std::string SystemReason() { return std::strerror(errno); }

// Between fork and exec only calls that are safe there; everything is prepared before.
[[noreturn]] void BecomeWorker(const char* const* arguments, const char* const* environment, int log_fd,
                               int status_fd, const sigset_t& signals, pid_t supervisor) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // no worker outlives its supervisor
  if (getppid() != supervisor) _exit(127);
  setpgid(0, 0);  // the terminal's Ctrl-C is for the supervisor, which stops the workers in order
  const int null_fd = open("/dev/null", O_RDONLY);
  if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0) _exit(127);
  if (null_fd > kChildStatusFd) close(null_fd);
  if (status_fd == kChildStatusFd) {
    fcntl(status_fd, F_SETFD, 0);
  } else if (dup2(status_fd, kChildStatusFd) < 0) {
    _exit(127);
  }
  sigprocmask(SIG_SETMASK, &signals, nullptr);
  execve(arguments[0], const_cast<char* const*>(arguments), const_cast<char* const*>(environment));
  _exit(127);
}

std::vector<std::string> MergedEnvironment(const WorkerCommand& command) {
  std::map<std::string, std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != std::string::npos) merged[text.substr(0, equals)] = text.substr(equals + 1);
  }
  for (const auto& [name, value] : command.environment) merged[name] = value;
  merged[kStatusFdVariable] = std::to_string(kChildStatusFd);
  std::vector<std::string> entries;
  for (const auto& [name, value] : merged) entries.push_back(name + "=" + value);
  return entries;
}

std::vector<const char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> pointers;
  for (const std::string& text : texts) pointers.push_back(text.c_str());
  pointers.push_back(nullptr);
  return pointers;
}

Worker::Worker(const WorkerCommand& command, int rank, const sigset_t& signals, bool appends)
    : log_(command.log) {
  const std::vector<std::string> environment = MergedEnvironment(command);
  const std::vector<const char*> argument_pointers = Pointers(command.arguments);
  const std::vector<const char*> environment_pointers = Pointers(environment);
  const int log_fd =
      open(log_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (appends ? O_APPEND : O_TRUNC), 0666);
  if (log_fd < 0) {
    throw RunError(fmt::format("cannot write worker {}'s log {}: {}", rank, log_.string(), SystemReason()));
  }
  int pipe_fds[2];
  // Not blocking at either end: a supervisor that is suspended must not hold up its workers.
  const bool piped = pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) == 0;
  const pid_t supervisor = getpid();
  pid_ = piped ? fork() : -1;
  if (pid_ == 0) {
    BecomeWorker(argument_pointers.data(), environment_pointers.data(), log_fd, pipe_fds[1], signals,
                 supervisor);
  }
  const std::string reason = SystemReason();
  close(log_fd);
  if (piped) close(pipe_fds[1]);
  if (pid_ < 0) {
    if (piped) close(pipe_fds[0]);
    throw RunError(fmt::format("cannot start worker {}: {}; start fewer workers", rank, reason));
  }
  status_fd_ = pipe_fds[0];
}

Worker::~Worker() {
  Signal(SIGKILL);
  Reap(0);
  if (status_fd_ >= 0) close(status_fd_);
}

bool Worker::IsStopped() const {
  if (!running_) return false;
  std::ifstream file(fmt::format("/proc/{}/stat", pid_));
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const std::size_t end_of_name = text.rfind(')');
  return end_of_name != std::string::npos && end_of_name + 2 < text.size() &&
         (text[end_of_name + 2] == 'T' || text[end_of_name + 2] == 't');
}

std::vector<std::string> Worker::TakeLines() {
  char buffer[4096];
  for (ssize_t count; (count = read(status_fd_, buffer, sizeof buffer)) > 0;) {
    unread_.append(buffer, static_cast<std::size_t>(count));
  }
  std::vector<std::string> lines;
  for (std::size_t end; (end = unread_.find('\n')) != std::string::npos;) {
    lines.push_back(unread_.substr(0, end));
    unread_.erase(0, end + 1);
  }
  return lines;
}

// The workers of one run, and the watch over them.
class Crew {
 public:
  Crew(const std::vector<WorkerCommand>& commands, const SupervisorHooks& hooks,
       const std::optional<Survival>& survival)
      : commands_(commands), hooks_(hooks), survival_(survival) {
    if (survival_) {
      membership_.emplace(survival_->rules);
      WriteGeneration(survival_->directory, membership_->generation());
    }
    for (const WorkerCommand& command : commands) {
      workers_.push_back(
          std::make_unique<Worker>(command, static_cast<int>(workers_.size()), signals_.before()));
    }
  }

  void Watch() {
    while ((AnyRunning() || membership_) && first_failed_ < 0) {
      if (!AnyRunning() && AnyDone()) return;
      WaitAWhile();
      if (const auto signal = signals_.TakeStop()) {
        Stop();
        throw Interrupted(*signal);
      }
      if (membership_ && first_failed_ < 0) Decide();
    }
    if (first_failed_ >= 0) Fail();
  }

 private:
  bool AnyRunning() const {
    return std::any_of(workers_.begin(), workers_.end(),
                       [](const auto& worker) { return worker->running(); });
  }

  bool AnyDone() const {
    return std::any_of(workers_.begin(), workers_.end(),
                       [](const auto& worker) { return !worker->running() && !worker->failed(); });
  }

  // Sleeps until a worker says something or a moment has passed, then notices what has happened.
  void WaitAWhile() {
    std::vector<pollfd> pipes;
    for (const auto& worker : workers_) {
      if (worker->running()) pipes.push_back({worker->status_fd(), POLLIN, 0});
    }
    poll(pipes.data(), pipes.size(), kPollMilliseconds);
    for (int rank = 0; rank < static_cast<int>(workers_.size()); ++rank) {
      Worker& worker = *workers_[rank];
      const bool was_running = worker.running();
      worker.Reap(WNOHANG);
      for (const std::string& line : worker.TakeLines()) {
        const auto waits = hooks_.on_status(rank, line);
        if (waits && membership_) membership_->OnWaiting(rank, waits->generation, waits->why);
      }
      if (was_running && !worker.running()) NoticeEnd(rank);
    }
  }

  void NoticeEnd(int rank) {
    const Worker& worker = *workers_[rank];
    if (!worker.failed()) {
      if (membership_) membership_->OnDone(rank);
    } else if (membership_ && IsLoss(worker)) {
      membership_->OnEnded(rank, HowItEnded(rank));
    } else if (first_failed_ < 0) {
      first_failed_ = rank;
    }
  }

  // Whether its end says nothing against the others.
  static bool IsLoss(const Worker& worker) { return WIFSIGNALED(worker.wait_status()) || LostOthers(worker); }

  std::string HowItEnded(int rank) const {
    const Worker& worker = *workers_[rank];
    const std::string how =
        WIFSIGNALED(worker.wait_status()) ? HowItWasKilled(worker) : "ended: " + hooks_.failure_of(rank);
    return fmt::format("(pid {}) {}", worker.pid(), how);
  }

  static std::string HowItWasKilled(const Worker& worker) {
    const int signal = WTERMSIG(worker.wait_status());
    return fmt::format("was killed by signal {} ({})", signal, strsignal(signal));
  }

  // Does what the membership wants done.
  void Decide() {
    const Membership::Decision decision = membership_->Decide(MonotonicSeconds());
    for (const int worker : decision.expel) {
      workers_[worker]->Signal(SIGKILL);
      workers_[worker]->Reap(0);
    }
    const int number = membership_->generation().number;
    if (decision.next) {
      WriteGeneration(survival_->directory, *decision.next);
    } else if (decision.change_is_due && due_told_ < number) {
      due_told_ = number;
      CallForLeaving(survival_->directory, number);
    }
    for (const int worker : decision.restart) {
      WorkerCommand command = commands_[worker];
      command.environment.emplace_back(kJoinsVariable, "1");
      workers_[worker] = std::make_unique<Worker>(command, worker, signals_.before(), /*appends=*/true);
    }
    if (!decision.over) return;
    Stop();
    const std::string last_word = membership_->generation().last ? LastWord() : "";
    throw CommError(last_word.empty() ? "no worker is left: " + *decision.over : last_word);
  }

  // What a member of the last generation said at its end.
  std::string LastWord() const {
    for (const int worker : membership_->generation().members) {
      if (const std::string word = hooks_.failure_of(worker); !word.empty()) return word;
    }
    return "";
  }

  void WaitUntil(double deadline) {
    while (AnyRunning() && MonotonicSeconds() < deadline) WaitAWhile();
  }

  void Stop() {
    for (const auto& worker : workers_) {
      worker->Signal(SIGTERM);
      worker->Signal(SIGCONT);
    }
    WaitUntil(MonotonicSeconds() + kTermSeconds);
    for (const auto& worker : workers_) worker->Signal(SIGKILL);
    for (const auto& worker : workers_) worker->Reap(0);
  }

  static bool LostOthers(const Worker& worker) {
    return WIFEXITED(worker.wait_status()) &&
           WEXITSTATUS(worker.wait_status()) == static_cast<int>(ExitCode::kCommunication);
  }

  // Ends the run with the failure that explains the others: a worker that died or failed by itself rather
  // than one that only lost it; else one that is stopped and cannot answer; else the first.
  [[noreturn]] void Fail() {
    WaitUntil(MonotonicSeconds() + kCollectSeconds);
    int culprit = first_failed_;
    for (int rank = 0; LostOthers(*workers_[culprit]) && rank < static_cast<int>(workers_.size()); ++rank) {
      const Worker& worker = *workers_[rank];
      if (worker.IsStopped() || (worker.failed() && !LostOthers(worker))) culprit = rank;
    }
    const bool stopped = workers_[culprit]->IsStopped();
    Stop();
    const Worker& worker = *workers_[culprit];
    const std::string who = fmt::format("worker {} (pid {})", culprit, worker.pid());
    const std::string log = fmt::format("; its log is {}", worker.log().string());
    if (stopped) throw CommError(who + " did not answer within the timeout: it is stopped" + log);
    if (WIFSIGNALED(worker.wait_status()))
      throw CommError(fmt::format("{} {}{}", who, HowItWasKilled(worker), log));
    const int code = WEXITSTATUS(worker.wait_status());
    std::string reason = hooks_.failure_of(culprit);
    if (reason.empty()) reason = fmt::format("it ended with exit code {} and no word", code);
    const bool known = code >= 1 && code <= 4;
    throw Error(known ? static_cast<ExitCode>(code) : ExitCode::kCommunication,
                fmt::format("{} failed: {}{}", who, reason, log));
  }

  const std::vector<WorkerCommand>& commands_;
  const SupervisorHooks& hooks_;
  const std::optional<Survival>& survival_;
  std::optional<Membership> membership_;  // with survival_
  int due_told_ = 0;                      // of this generation the members know that they are to leave it
  BlockedSignals signals_;
  std::vector<std::unique_ptr<Worker>> workers_;
  int first_failed_ = -1;
};

}  // namespace

void Supervise(const std::vector<WorkerCommand>& commands, const SupervisorHooks& hooks,
               const std::optional<Survival>& survival) {
  Crew(commands, hooks, survival).Watch();
}

}  // namespace swarmsync
