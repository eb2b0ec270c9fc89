#include "swarmsync/params/weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <string_view>

#include "params/complaint.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/params/safetensors.h"
#include "swarmsync/params/state_dict.h"

namespace swarmsync {
namespace {

constexpr std::string_view kZip = "PK\x03\x04";
// The number that torch.save() began files with before PyTorch 1.6, pickled.
constexpr std::string_view kOldStateDict = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr std::size_t kSafetensorsLength = 8;  // bytes before the header, which begins with a brace

}  // namespace

WeightsFile LoadWeights(const std::filesystem::path& path) {
  const MappedFile file(path);
  const std::string_view begin(reinterpret_cast<const char*>(file.data()),
                               std::min<std::size_t>(file.size(), 64));
  const auto begins_with = [&](std::string_view magic) { return begin.substr(0, magic.size()) == magic; };
  if (begins_with(kZip)) return LoadStateDict(path);
  if (begins_with(kOldStateDict)) {
    Complaint(path, "read it with torch.load and write it again with torch.save")(
        "it is of the format that PyTorch wrote before version 1.6");
  }
  if (begin.substr(std::min(begin.size(), kSafetensorsLength), 1) == "{") return LoadSafetensors(path);
  Complaint{path}("it begins neither as a safetensors file nor as a PyTorch state dict");
}

NamedTensors StateOf(const torch::nn::Module& module) {
  NamedTensors state;
  for (const auto& item : module.named_parameters()) state.emplace_back(item.key(), item.value());
  for (const auto& item : module.named_buffers()) state.emplace_back(item.key(), item.value());
  return state;
}

void CopyInto(torch::nn::Module& module, const WeightsFile& content, const std::filesystem::path& path) {
  torch::NoGradGuard no_grad;
  const std::map<std::string, at::Tensor> in_file(content.tensors.begin(), content.tensors.end());
  std::map<std::string, at::Tensor> state;
  const auto fail = [&](const std::string& why) {
    throw DataError(
        fmt::format("{} holds another model: {}; name the model it was saved from", path.string(), why));
  };
  for (const auto& [name, tensor] : StateOf(module)) {
    state[name] = tensor;
    const auto found = in_file.find(name);
    if (found == in_file.end()) {
      const std::string wrapped = fmt::format("module.{}", name);
      if (in_file.count(wrapped) == 0) fail(fmt::format("it has no tensor '{}'", name));
      fail(fmt::format("it has no tensor '{}' but '{}', as of a model that a DataParallel holds", name,
                       wrapped));
    }
    if (found->second.sizes() != tensor.sizes()) {
      fail(fmt::format("its '{}' has shape [{}], not [{}]", name, fmt::join(found->second.sizes(), ", "),
                       fmt::join(tensor.sizes(), ", ")));
    }
  }
  for (const auto& [name, tensor] : in_file) {
    if (state.count(name) == 0) {
      fail(fmt::format("it has {} tensors, not {}: '{}' is too many", in_file.size(), state.size(), name));
    }
  }
  for (auto& [name, tensor] : state) tensor.copy_(in_file.at(name));
}

}  // namespace swarmsync
