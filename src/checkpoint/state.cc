#include "swarmsync/checkpoint/state.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include <algorithm>
#include <utility>

#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

at::Tensor CopyOf(const at::Tensor& tensor) {
  return at::empty(tensor.sizes(), tensor.options().device(at::kCPU).requires_grad(false))
      .copy_(tensor.detach());
}

std::string Describe(const at::Tensor& tensor) {
  return fmt::format("{} [{}]", c10::toString(tensor.scalar_type()), fmt::join(tensor.sizes(), ", "));
}

}  // namespace

StateVisitor::Within::Within(StateVisitor& visitor, std::string_view name)
    : visitor_(visitor), outer_(visitor.prefix_.size()) {
  visitor.prefix_ += std::string(name) + ".";
}

StateVisitor::Within::~Within() { visitor_.prefix_.resize(outer_); }

void StateVisitor::Tensor(std::string_view name, Held held, at::Tensor& tensor, const at::Tensor& like) {
  OnTensor(prefix_ + std::string(name), held, tensor, [&](const at::Tensor& saved) {
    return saved.sizes() == like.sizes() && saved.scalar_type() == like.scalar_type();
  });
}

void StateVisitor::Number(std::string_view name, Held held, double& value) {
  at::Tensor tensor = at::scalar_tensor(value, at::kDouble);
  Tensor(name, held, tensor);
  value = tensor.item<double>();
}

void StateVisitor::Number(std::string_view name, Held held, std::int64_t& value) {
  at::Tensor tensor = at::scalar_tensor(value, at::kLong);
  Tensor(name, held, tensor);
  value = tensor.item<std::int64_t>();
}

void StateVisitor::Bytes(std::string_view name, Held held, std::string& bytes, std::size_t unit) {
  at::Tensor tensor;
  if (!loads()) {
    tensor = at::empty({static_cast<std::int64_t>(bytes.size())}, at::kByte);
    std::copy(bytes.begin(), bytes.end(), tensor.data_ptr<std::uint8_t>());
  }
  OnTensor(prefix_ + std::string(name), held, tensor, [unit](const at::Tensor& saved) {
    return saved.scalar_type() == at::kByte && saved.dim() == 1 && saved.nbytes() % unit == 0;
  });
  if (!loads()) return;
  bytes.clear();
  if (!tensor.defined() || tensor.numel() == 0) return;
  tensor = tensor.to(at::kCPU);
  bytes.assign(reinterpret_cast<const char*>(tensor.data_ptr<std::uint8_t>()), tensor.numel());
}

void StateSaver::OnTensor(const std::string& name, Held, at::Tensor& tensor, const Accepts&) {
  if (tensor.defined()) tensors_.emplace_back(name, CopyOf(tensor));
}

StateLoader::StateLoader(NamedTensors tensors, std::string source, at::Device device, bool same_world)
    : tensors_(std::make_move_iterator(tensors.begin()), std::make_move_iterator(tensors.end())),
      source_(std::move(source)),
      device_(device),
      same_world_(same_world) {}

void StateLoader::OnTensor(const std::string& name, Held, at::Tensor& tensor, const Accepts& accepts) {
  at::NoGradGuard no_grad;
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    if (!tensor.defined()) return;
    throw DataError(fmt::format("{} has no '{}', which this run needs; it is of another model or version",
                                source_, name));
  }
  const at::Tensor& saved = found->second;
  if (!tensor.defined()) {
    if (accepts == nullptr) return;
    if (!accepts(saved)) {
      throw DataError(
          fmt::format("{} has '{}' as {}, which this run cannot use; it is of another model or version",
                      source_, name, Describe(saved)));
    }
    tensor = at::empty(saved.sizes(), saved.options().device(device_)).copy_(saved);
    return;
  }
  if (saved.sizes() != tensor.sizes() || saved.scalar_type() != tensor.scalar_type()) {
    throw DataError(fmt::format("{} has '{}' as {}, and this run needs {}; it is of another model or version",
                                source_, name, Describe(saved), Describe(tensor)));
  }
  tensor.copy_(saved);
}

void StateDigest::OnTensor(const std::string& name, Held held, at::Tensor& tensor, const Accepts&) {
  if (held != Held::kByAll || !tensor.defined()) return;
  const at::Tensor bytes = tensor.detach().cpu().contiguous();
  const uLong sum = crc32_z(0, static_cast<const Bytef*>(bytes.data_ptr()), bytes.nbytes());
  pieces_.push_back({name, static_cast<std::uint32_t>(sum)});
}

}  // namespace swarmsync
