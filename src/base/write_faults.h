#pragma once

#include <filesystem>
#include <functional>

namespace swarmsync {

// Asked before AtomicFile writes a file: an errno to fail with, or 0. Called by any thread.
using WriteFault = std::function<int(const std::filesystem::path& path)>;

// Lets files fail on purpose, in this process; nullptr: no more. Not while other threads write.
void SetWriteFault(WriteFault fault);

}  // namespace swarmsync
