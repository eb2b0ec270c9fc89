#pragma once

namespace swarmsync {

// While one lives, SIGINT, SIGTERM and SIGHUP do not end the process at once but make Check() throw
// Interrupted, so that what is being written is finished or removed. If nobody has checked within a second
// after the signal, the process ends then, with the exit code that the signal asks for. One at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  static void Check();  // any thread
};

}  // namespace swarmsync
