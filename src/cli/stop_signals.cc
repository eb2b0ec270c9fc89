#include "cli/stop_signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

// A signal handler can reach nothing but what is global.
std::atomic<int> stop_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler needs an atomic that takes no lock");

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};

void OnStop(int signal) {
  stop_signal = signal;
  alarm(1);
}

void OnAlarm(int) { _exit(128 + stop_signal); }

void Handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

}  // namespace

StopSignals::StopSignals() {
  stop_signal = 0;
  Handle(SIGALRM, OnAlarm);
  for (const int signal : kSignals) Handle(signal, OnStop);
}

StopSignals::~StopSignals() {
  for (const int signal : kSignals) Handle(signal, SIG_DFL);
  alarm(0);
  Handle(SIGALRM, SIG_DFL);
}

void StopSignals::Check() {
  if (const int signal = stop_signal; signal != 0) throw Interrupted(signal);
}

}  // namespace swarmsync
