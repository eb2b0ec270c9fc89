#pragma once

#include <stdexcept>
#include <string>

// Everything that the library declares.
namespace swarmsync {

// What a failure means to the caller of the command line tool: its exit code.
enum class ExitCode : int {
  kDone = 0,           // nothing went wrong
  kRunFailed = 1,      // training diverged on all workers, out of memory, …
  kUsage = 2,          // a flag, a name or a combination of them is wrong
  kBadData = 3,        // a data set, a model file or a checkpoint is missing, damaged or does not fit
  kCommunication = 4,  // a worker was lost, a rendezvous failed, a port is taken
};

// Base of the failures that the library finds. The message is one line: what, where, the value found, what to
// do.
class Error : public std::runtime_error {
 public:
  // code: what the failure means. message: what what() returns.
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  // What the command line tool exits with when this ends it.
  ExitCode exit_code() const { return code_; }

 private:
  ExitCode code_;
};

// The run failed: training diverged on all workers, memory or threads ran out, a file could not be written.
class RunError : public Error {
 public:
  // message: one line, as of every Error.
  explicit RunError(const std::string& message) : Error(ExitCode::kRunFailed, message) {}
};

// A flag, a name, an argument or a combination of them is wrong.
class UsageError : public Error {
 public:
  // message: one line, as of every Error.
  explicit UsageError(const std::string& message) : Error(ExitCode::kUsage, message) {}
};

// A data set, a model file or a checkpoint is missing, damaged or does not fit.
class DataError : public Error {
 public:
  // message: one line, as of every Error.
  explicit DataError(const std::string& message) : Error(ExitCode::kBadData, message) {}
};

// The others could not be met, did not answer in time, or one of them was lost. The group is of no use after
// it.
class CommError : public Error {
 public:
  // message: one line, as of every Error.
  explicit CommError(const std::string& message) : Error(ExitCode::kCommunication, message) {}
};

// A signal asked the process to stop. Not an Error: nothing is wrong, and the exit code is 128 + signal().
class Interrupted : public std::runtime_error {
 public:
  // signal: its number, such as SIGINT; what() gives it with its name.
  explicit Interrupted(int signal);
  // The number of the signal.
  int signal() const { return signal_; }

 private:
  int signal_;
};

}  // namespace swarmsync
