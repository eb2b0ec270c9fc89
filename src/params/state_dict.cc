// Reader and writer of PyTorch's state dicts. The archive is written by libtorch's own writer and read by
// libzip, as libtorch's reader sets aside what a damaged archive claims.

#include "swarmsync/params/state_dict.h"

#include <ATen/ATen.h>
#include <caffe2/serialize/inline_container.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/json.h"
#include "params/complaint.h"
#include "params/scalar_types.h"
#include "params/unpickler.h"
#include "params/zip_archive.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kPickle = "data.pkl";
constexpr const char* kByteOrder = "byteorder";
constexpr const char* kLittleEndian = "little";
constexpr const char* kScriptConstants = "constants.pkl";  // that a TorchScript module has
// Of the metadata, as JSON: where torch.jit.save puts what a user gives it along.
constexpr const char* kMetadata = "extra/metadata.json";

// Tensors may share memory in the file, and a stride of 0 repeats an element, but they do not share what is
// read. So many times the file's size may come of it, and a little.
constexpr std::uint64_t kMostExpansion = 16, kAlwaysBytes = 1 << 20;

std::string StorageRecord(std::string_view key) { return fmt::format("data/{}", key); }

// Writes what Python's pickle module would, without its memo.
class PickleWriter {
 public:
  std::string Write(const NamedTensors& tensors) {
    text_ = "\x80\x02";  // protocol 2
    EmptyOrderedDict();
    text_ += '(';
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      Text(tensors[i].first);
      Tensor(std::to_string(i), tensors[i]);
    }
    text_ += "u.";
    return std::move(text_);
  }

 private:
  void Global(std::string_view module, std::string_view name) {
    text_ += fmt::format("c{}\n{}\n", module, name);
  }
  void EmptyOrderedDict() {
    Global("collections", "OrderedDict");
    text_ += ")R";
  }
  template <class T>
  void Bytes(T number) {
    text_.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  void Text(std::string_view text) {
    text_ += 'X';
    Bytes(static_cast<std::uint32_t>(text.size()));
    text_ += text;
  }
  void Integer(std::int64_t number) {
    if (number <= std::numeric_limits<std::int32_t>::max()) {
      text_ += 'J';
      Bytes(static_cast<std::int32_t>(number));
    } else {
      text_ += "\x8a\x08";
      Bytes(number);
    }
  }
  void Integers(at::IntArrayRef numbers) {
    text_ += '(';
    for (const std::int64_t number : numbers) Integer(number);
    text_ += 't';
  }
  void Tensor(const std::string& key, const NamedTensors::value_type& named) {
    const auto& [name, tensor] = named;
    Global("torch._utils", "_rebuild_tensor_v2");
    text_ += "((";
    Text("storage");
    Global("torch", NamesOf(tensor.scalar_type(), name).storage);
    Text(key);
    Text("cpu");
    Integer(tensor.numel());
    text_ += "tQ";
    Integer(0);
    Integers(tensor.sizes());
    Integers(tensor.strides());
    text_ += "\x89";  // needs no gradient
    EmptyOrderedDict();
    text_ += "tR";
  }

  std::string text_;
};

std::string Described(const std::string& name, const StoredTensor& tensor) {
  return fmt::format("'{}' of shape [{}], strides [{}] and offset {}", name, fmt::join(tensor.sizes, ", "),
                     fmt::join(tensor.strides, ", "), tensor.offset);
}

// The bytes of a tensor's elements, once it is known to lie in its storage.
std::uint64_t CheckedSize(const std::string& name, const StoredTensor& tensor, const Complaint& fail) {
  const auto element = static_cast<std::int64_t>(c10::elementSize(tensor.type));
  std::int64_t last = tensor.offset, bytes = element;  // bytes: as if extents of 0 were 1
  bool overflows = tensor.offset < 0 || tensor.storage_size < 0, empty = false;
  for (std::size_t i = 0; i < tensor.sizes.size() && !overflows; ++i) {
    const std::int64_t size = tensor.sizes[i], stride = tensor.strides[i];
    std::int64_t reach = 0;
    empty = empty || size == 0;
    overflows = size < 0 || stride < 0 ||
                __builtin_mul_overflow(bytes, std::max<std::int64_t>(size, 1), &bytes) ||
                __builtin_mul_overflow(std::max<std::int64_t>(size - 1, 0), stride, &reach) ||
                __builtin_add_overflow(last, reach, &last);
  }
  if (overflows) fail("{} cannot be", Described(name, tensor));
  if (empty) return 0;
  if (last >= tensor.storage_size)
    fail("{} lies outside its storage of {} elements", Described(name, tensor), tensor.storage_size);
  return static_cast<std::uint64_t>(bytes);
}

// The storages that have been read, by key.
using Storages = std::map<std::string_view, std::string>;

at::Tensor ReadTensor(const std::string& name, const StoredTensor& stored, ZipArchive& archive,
                      Storages& storages, const Complaint& fail) {
  const std::string_view key = stored.storage;
  if (storages.count(key) == 0) storages[key] = archive.Read(StorageRecord(key));
  std::string& bytes = storages[key];
  const std::size_t element = c10::elementSize(stored.type);
  if (bytes.size() % element != 0 ||
      bytes.size() / element != static_cast<std::uint64_t>(stored.storage_size)) {
    fail("the storage of '{}' has {} bytes and shall have {} elements of {}", name, bytes.size(),
         stored.storage_size, element);
  }
  const at::ScalarType type = StoredAs(stored.type);
  at::Tensor tensor = at::empty(stored.sizes, type);
  if (tensor.numel() > 0) {
    char* const first = bytes.data() + static_cast<std::size_t>(stored.offset) * element;
    tensor.copy_(at::from_blob(first, stored.sizes, stored.strides, type));
  }
  return FromStored(tensor, stored.type);
}

std::map<std::string, std::string> ReadMetadata(ZipArchive& archive, const Complaint& fail) {
  if (!archive.Has(kMetadata)) return {};
  try {
    return ParseJson<Json>(archive.Read(kMetadata)).get<std::map<std::string, std::string>>();
  } catch (const Json::exception& error) {
    fail("its metadata cannot be read ({})", error.what());
  }
}

}  // namespace

void SaveStateDict(const std::filesystem::path& path, const WeightsFile& content) {
  NamedTensors dense;
  for (const auto& [name, tensor] : content.tensors)
    dense.emplace_back(name, tensor.detach().cpu().contiguous());
  const std::string pickle = PickleWriter().Write(dense);

  AtomicFile file(path);
  std::exception_ptr failed;  // nothing may be thrown through libtorch's writer
  caffe2::serialize::PyTorchStreamWriter archive([&](const void* bytes, std::size_t size) {
    try {
      if (!failed) file.Write(bytes, size);
    } catch (...) {
      failed = std::current_exception();
    }
    return size;
  });
  const auto write = [&](const std::string& record, std::string_view bytes) {
    archive.writeRecord(record, bytes.data(), bytes.size());
  };
  write(kPickle, pickle);
  write(kByteOrder, kLittleEndian);
  for (std::size_t i = 0; i < dense.size(); ++i) {
    const at::Tensor& tensor = dense[i].second;
    archive.writeRecord(StorageRecord(std::to_string(i)), tensor.data_ptr(), tensor.nbytes());
  }
  if (!content.metadata.empty()) write(kMetadata, Json(content.metadata).dump());
  archive.writeEndOfFile();
  if (failed) std::rethrow_exception(failed);
  file.Commit();
}

WeightsFile LoadStateDict(const std::filesystem::path& path) {
  const MappedFile file(path);
  const Complaint damaged(path);
  const Complaint foreign(path, "save model.state_dict() with torch.save, and nothing else");
  ZipArchive archive(file, damaged);
  if (archive.Has(kScriptConstants)) {
    Complaint(path, "save its state_dict() with torch.save, or give the model.safetensors beside it")(
        "it is a TorchScript module");
  }
  if (archive.Has(kByteOrder) && archive.Read(kByteOrder) != kLittleEndian)
    foreign("its numbers are not in the order of bytes that is '{}'", kLittleEndian);
  const std::string pickle = archive.Read(kPickle);

  const auto stored = UnpickleStateDict(pickle, {damaged, foreign});
  std::uint64_t bytes = 0, most = kMostExpansion * file.size() + kAlwaysBytes;
  for (const auto& [name, tensor] : stored) {
    const std::uint64_t size = CheckedSize(name, tensor, damaged);
    if (size > most - bytes) {
      foreign(
          "its tensors would take more than {} bytes, as '{}' and others repeat their elements; call "
          "contiguous() on them",
          most, name);
    }
    bytes += size;
  }
  WeightsFile content;
  content.metadata = ReadMetadata(archive, damaged);
  Storages storages;
  for (const auto& [name, tensor] : stored)
    content.tensors.emplace_back(name, ReadTensor(name, tensor, archive, storages, damaged));
  return content;
}

}  // namespace swarmsync
