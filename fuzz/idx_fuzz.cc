// IDX files, as they are and compressed here, as no fuzzer finds the checksum at gzip's end.

#include "data/gzip_fixture.h"
#include "fuzz/input.h"
#include "swarmsync/data/idx.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmsync;
  const std::string bytes(Text(data, size));
  for (const std::string& content : {bytes, GzipBytes(bytes)}) {
    const std::filesystem::path path = WriteInput("idx", content);
    for (const IdxKind kind : {IdxKind::kImages, IdxKind::kLabels}) {
      ReadOrRefuse([&] {
        const IdxFile file(path, kind);
        Touch(file.values(), static_cast<std::size_t>(file.count() * file.height() * file.width()));
      });
    }
  }
  return 0;
}
