// A PyTorch state dict, also copied into a module. Inputs that are no zip archive are pickles, and get one
// around them with the bytes of a few tensors, as an archive's checksums would keep a fuzzer out.

#include <caffe2/serialize/inline_container.h>
#include <torch/nn/modules/linear.h>

#include "fuzz/input.h"
#include "swarmsync/params/state_dict.h"

namespace swarmsync {
namespace {

constexpr std::size_t kStorageBytes = 64;
constexpr const char* kStorages[] = {"data/0", "data/1", "data/2"};

std::string ArchiveOf(std::string_view pickle) {
  std::string bytes;
  caffe2::serialize::PyTorchStreamWriter archive([&](const void* part, std::size_t size) {
    bytes.append(static_cast<const char*>(part), size);
    return size;
  });
  archive.writeRecord("data.pkl", pickle.data(), pickle.size());
  const std::string storage(kStorageBytes, '\x3f');
  for (const char* name : kStorages) archive.writeRecord(name, storage.data(), storage.size());
  archive.writeEndOfFile();
  return bytes;
}

}  // namespace
}  // namespace swarmsync

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmsync;
  const std::string_view input = Text(data, size);
  const std::filesystem::path path =
      WriteInput("model.pt", input.substr(0, 2) == "PK" ? std::string(input) : ArchiveOf(input));
  ReadOrRefuse([&] {
    const WeightsFile file = LoadStateDict(path);
    for (const auto& [name, tensor] : file.tensors) Touch(tensor.data_ptr(), tensor.nbytes());
    static torch::nn::Linear module(2, 2);
    CopyInto(*module, file, path);
  });
  return 0;
}
