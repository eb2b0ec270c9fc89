#include "cli/parent.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace swarmsync {
namespace {

constexpr const char* kVariable = "SWARMSYNC_PARENT";  // its pid

}  // namespace

void TakeChildrenAlong() { setenv(kVariable, std::to_string(getpid()).c_str(), /*overwrite=*/1); }

void DieWithParent() {
  const char* const parent = std::getenv(kVariable);
  if (parent == nullptr) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (std::to_string(getppid()) != parent) raise(SIGKILL);  // it has ended already
  unsetenv(kVariable);
}

}  // namespace swarmsync
