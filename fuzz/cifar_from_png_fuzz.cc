// The package that CIFAR-10 may come in: PNG files and labels as JSON, in a tar archive.

#include "data/cifar.h"
#include "fuzz/input.h"
#include "fuzz/png_checksums.h"
#include "swarmsync/data/source.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmsync;
  std::vector<std::uint8_t> archive(data, data + size);
  for (std::size_t block = 512; block < size; block += 512) {
    archive = WithPngChecksums(std::move(archive), block);
  }
  const FileInArchive convert = CifarFromPng("p/");
  for (const std::string& name : {CifarTrainFile(1), CifarTrainFile(2), std::string(kCifarTest)}) {
    ReadOrRefuse([&] {
      const std::vector<std::uint8_t> records = convert(archive, {name, 0, ""});
      if (records.size() % kCifarRecord != 0) throw std::logic_error("a record that is not whole");
      Touch(records.data(), records.size());
    });
  }
  return 0;
}
