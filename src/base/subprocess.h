#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace swarmsync {

struct SubprocessOptions {
  std::vector<std::string> arguments;       // [0] is the program, looked up on PATH if it has no slash
  std::filesystem::path working_directory;  // where it starts
  std::filesystem::path output;             // a new file that takes its standard output and error
  std::chrono::seconds timeout{60};         // then it is killed
  std::function<void()> on_wait;  // called about ten times a second; if it throws, the program is killed
};

// How a program ended.
struct SubprocessResult {
  enum class Kind { kExited, kSignalled, kTimedOut, kNotFound };
  Kind kind;
  int code = 0;  // exit code or signal
};

// Runs a program without a shell, with nothing to read, and waits for it. Local; safe from any thread. Throws
// RunError when it cannot be started for another reason than that there is no such program.
SubprocessResult RunSubprocess(const SubprocessOptions& options);

}  // namespace swarmsync
