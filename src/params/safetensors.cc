// Reader and writer of the safetensors format, for models of the sizes that this tool trains.

#include "swarmsync/params/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "base/json.h"
#include "params/complaint.h"
#include "params/scalar_types.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit

// The list of whole numbers under `key`. Json's own conversion would take -1, 1.5 and an object of numbers.
std::vector<std::uint64_t> Numbers(const std::string& name, const Json& entry, const char* key,
                                   const Complaint& fail) {
  const Json& list = entry.at(key);
  const auto is_whole = [](const Json& value) { return value.is_number_unsigned(); };
  if (!list.is_array() || !std::all_of(list.begin(), list.end(), is_whole)) {
    fail("'{}' has {} {}, which is not a list of whole numbers", name, key, list.dump());
  }
  return list.get<std::vector<std::uint64_t>>();
}

struct Range {
  std::uint64_t begin, end;
  std::string name;
};

// Every byte of data belongs to exactly one tensor.
void CheckCover(std::vector<Range> ranges, std::uint64_t data_size, const Complaint& fail) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  std::uint64_t used = 0;
  for (const Range& range : ranges) {
    if (range.begin != used) fail("'{}' begins at byte {}, not {}", range.name, range.begin, used);
    used = range.end;
  }
  if (used != data_size) fail("its tensors take {} bytes and the file has {}", used, data_size);
}

at::Tensor ReadTensor(const std::string& name, const Json& entry, const std::uint8_t* data,
                      std::uint64_t data_size, std::vector<Range>& ranges, const Complaint& fail) {
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") ||
      !entry.contains("data_offsets")) {
    fail("the header's entry for '{}' is incomplete", name);
  }
  const auto dtype = entry.at("dtype").get<std::string>();
  const std::optional<at::ScalarType> type = TypeNamed(dtype, &TypeNames::safetensors);
  if (!type) fail("'{}' has the unknown type '{}'", name, dtype);

  const std::vector<std::uint64_t> shape = Numbers(name, entry, "shape", fail);
  const std::vector<std::uint64_t> offsets = Numbers(name, entry, "data_offsets", fail);
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_size) {
    fail("'{}' lies outside the file's {} bytes of data", name, data_size);
  }
  std::uint64_t bytes = c10::elementSize(*type);
  auto span = static_cast<std::int64_t>(bytes);  // without extents of 0: what the strides must not exceed
  std::vector<std::int64_t> sizes;
  for (const std::uint64_t extent : shape) {
    if (__builtin_mul_overflow(span, std::max<std::uint64_t>(extent, 1), &span)) {
      fail("'{}' has the impossible shape [{}]", name, fmt::join(shape, ", "));
    }
    bytes *= extent;
    sizes.push_back(static_cast<std::int64_t>(extent));
  }
  if (bytes != offsets[1] - offsets[0]) {
    fail("'{}' of shape [{}] needs {} bytes and has {}", name, fmt::join(shape, ", "), bytes,
         offsets[1] - offsets[0]);
  }
  ranges.push_back({offsets[0], offsets[1], name});
  at::Tensor tensor = at::empty(sizes, StoredAs(*type));
  if (bytes > 0) std::memcpy(tensor.data_ptr(), data + offsets[0], bytes);
  return FromStored(tensor, *type);
}

}  // namespace

void SaveSafetensors(const std::filesystem::path& path, const WeightsFile& content) {
  Json header = Json::object();
  if (!content.metadata.empty()) header["__metadata__"] = content.metadata;
  std::vector<at::Tensor> dense;
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : content.tensors) {
    dense.push_back(tensor.detach().cpu().contiguous());
    header[name] = {{"dtype", NamesOf(tensor.scalar_type(), name).safetensors},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {offset, offset + dense.back().nbytes()}}};
    offset += dense.back().nbytes();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data begins aligned
  const std::uint64_t length = text.size();

  AtomicFile file(path);
  file.Write(&length, sizeof length);
  file.Write(text);
  for (const at::Tensor& tensor : dense) file.Write(tensor.data_ptr(), tensor.nbytes());
  file.Commit();
}

WeightsFile LoadSafetensors(const std::filesystem::path& path) {
  const MappedFile file(path);
  const Complaint fail(path);
  std::uint64_t length = 0;
  if (file.size() < sizeof length) fail("it has only {} bytes", file.size());
  std::memcpy(&length, file.data(), sizeof length);
  if (length > kMaxHeaderBytes || length > file.size() - sizeof length) {
    fail("its header claims {} bytes and the file has {}", length, file.size());
  }
  const auto* text = reinterpret_cast<const char*>(file.data()) + sizeof length;
  const std::uint8_t* data = file.data() + sizeof length + length;
  const std::uint64_t data_size = file.size() - sizeof length - length;

  WeightsFile content;
  std::vector<Range> ranges;
  try {
    const Json header = ParseJson<Json>({text, length});
    if (!header.is_object()) fail("its header is not a JSON object");
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") {
        content.metadata = entry.get<std::map<std::string, std::string>>();
        continue;
      }
      content.tensors.emplace_back(name, ReadTensor(name, entry, data, data_size, ranges, fail));
    }
  } catch (const Json::exception& error) {
    fail("its header cannot be read ({})", error.what());
  }
  CheckCover(std::move(ranges), data_size, fail);
  return content;
}

}  // namespace swarmsync
