#pragma once

namespace swarmsync {

// Stops libtorch from logging to standard error what it also throws, so that an error stays one line.
void SilenceLibraryLogs();

}  // namespace swarmsync
