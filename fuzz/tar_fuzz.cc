// A tar archive, perhaps compressed, as a download is.

#include "data/gzip.h"
#include "data/tar.h"
#include "fuzz/input.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmsync;
  constexpr std::uint64_t kMostBytes = 1 << 24;
  ReadOrRefuse([&] {
    const std::vector<std::uint8_t> archive = Uncompressed(data, size, kMostBytes, "input");
    for (const char* name : {"package/a", "package/b"}) {
      ReadOrRefuse([&] {
        const std::vector<std::uint8_t> member = ReadTarMember(archive, name, "input");
        Touch(member.data(), member.size());
      });
    }
  });
  return 0;
}
