#pragma once

#include <stdexcept>
#include <string>

namespace swarmsync {

// What a failure means to the caller of the command line tool: its exit code.
enum class ExitCode : int {
  kDone = 0,
  kRunFailed = 1,      // training diverged on all workers, out of memory, …
  kUsage = 2,          // a flag, a name or a combination of them is wrong
  kBadData = 3,        // a data set, a model file or a checkpoint is missing, damaged or does not fit
  kCommunication = 4,  // a worker was lost, a rendezvous failed, a port is taken
};

// Base of everything the library throws. The message is one line: what, where, the value found, what to do.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode exit_code() const { return code_; }

 private:
  ExitCode code_;
};

class RunError : public Error {
 public:
  explicit RunError(const std::string& message) : Error(ExitCode::kRunFailed, message) {}
};

class UsageError : public Error {
 public:
  explicit UsageError(const std::string& message) : Error(ExitCode::kUsage, message) {}
};

class DataError : public Error {
 public:
  explicit DataError(const std::string& message) : Error(ExitCode::kBadData, message) {}
};

class CommError : public Error {
 public:
  explicit CommError(const std::string& message) : Error(ExitCode::kCommunication, message) {}
};

// A signal asked the process to stop. Not an Error: nothing is wrong, and the exit code is 128 + signal().
class Interrupted : public std::runtime_error {
 public:
  explicit Interrupted(int signal);
  int signal() const { return signal_; }

 private:
  int signal_;
};

}  // namespace swarmsync
