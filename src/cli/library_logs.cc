#include "cli/library_logs.h"

#include <dlfcn.h>

namespace swarmsync {

void SilenceLibraryLogs() {
  constexpr int kFatalOnly = 3;
  // libtorch logs through glog or through its own logger, whichever it was built with. Both keep their
  // threshold in an int that only their own command line sets.
  for (const char* threshold : {"_ZN3fLI17FLAGS_minloglevelE", "_ZN3c1022FLAGS_caffe2_log_levelE"}) {
    if (void* const level = dlsym(RTLD_DEFAULT, threshold)) *static_cast<int*>(level) = kFatalOnly;
  }
}

}  // namespace swarmsync
