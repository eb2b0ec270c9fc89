#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace swarmsync::testing {

// A program that a test starts by exec, with its standard input and output on pipes; its error output is the
// test's own. Killed at destruction when it has not been waited for. One thread.
class ChildProcess {
 public:
  // argv: the program's path and its arguments.
  explicit ChildProcess(const std::vector<std::string>& argv) {
    int input[2], output[2];
    if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
    std::vector<char*> arguments;
    for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    const int error = posix_spawn(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    close(input[0]);
    close(output[1]);
    input_ = input[1];
    output_ = fdopen(output[0], "r");
    if (error != 0) {
      pid_ = -1;
      throw std::runtime_error("cannot start " + argv[0]);
    }
  }
  ~ChildProcess() {
    if (pid_ > 0) {
      Signal(SIGKILL);
      Wait();
    }
    CloseInput();
    fclose(output_);
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) { kill(pid_, signal); }

  // The child reads the end of its input.
  void CloseInput() {
    if (input_ >= 0) close(input_);
    input_ = -1;
  }

  // The next line of its output, waiting for it; nothing when it has closed its output.
  std::optional<std::string> ReadLine() {
    std::string line;
    for (int c; (c = fgetc(output_)) != EOF;) {
      if (c == '\n') return line;
      line += static_cast<char>(c);
    }
    return line.empty() ? std::nullopt : std::optional(line);
  }

  // The rest of its output, until it closes it.
  std::string ReadAll() {
    std::string text;
    while (const auto line = ReadLine()) text += *line + '\n';
    return text;
  }

  // Waits for its end. Its exit code, or 128 + the signal that ended it; kHung, and it is killed, when it is
  // still there after `limit`. Called again, the same.
  int Wait(std::chrono::seconds limit = std::chrono::seconds(120)) {
    if (pid_ < 0) return exit_code_;
    pollfd end{static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)), POLLIN, 0};
    const bool ended = poll(&end, 1, static_cast<int>(limit.count()) * 1000) > 0;
    close(end.fd);
    if (!ended) Signal(SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    exit_code_ = !ended ? kHung : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return exit_code_;
  }
  static constexpr int kHung = -1;

 private:
  pid_t pid_ = -1;
  int exit_code_ = kHung;
  int input_ = -1;
  FILE* output_ = nullptr;
};

}  // namespace swarmsync::testing
