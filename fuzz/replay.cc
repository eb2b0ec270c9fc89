// Runs a fuzzer's function over the files of directories, for builds without libFuzzer.
// usage: NAME_fuzz DIRECTORY…

#include <cstdio>
#include <vector>

#include "fuzz/input.h"

int main(int argc, char** argv) {
  int replayed = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      std::puts(entry.path().c_str());
      std::fflush(stdout);  // so that the last name is that of the file that does harm
      const std::string text = swarmsync::ReadFile(entry.path());
      const std::vector<std::uint8_t> bytes(text.begin(), text.end());  // no byte more, for sanitizers
      LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
      ++replayed;
    }
  }
  std::printf("%d files replayed\n", replayed);
  return replayed == 0 ? 1 : 0;
}
