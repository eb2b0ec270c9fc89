#include "data/cifar.h"
#include "fuzz/input.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmsync;
  WriteInput(CifarTrainFile(1), Text(data, size));
  WriteInput(kCifarTest, Text(data, size));
  ReadOrRefuse([&] {
    const CifarDirectory directory = ReadCifarDirectory(InputDirectory());
    for (const auto& images : {directory.train, directory.test}) {
      for (std::int64_t i = 0; i < images->size(); ++i) {
        Touch(images->pixels(i), static_cast<std::size_t>(images->shape().num_pixels()));
        if (images->label(i) >= kCifarClasses) throw std::logic_error("a label that should be refused");
      }
    }
  });
  return 0;
}
