#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "swarmsync/params/safetensors.h"

namespace torch::optim {
class Optimizer;
}

namespace swarmsync {

// How a worker's piece of state compares with the other workers'.
enum class Held {
  kByEach,  // each has its own
  kByAll,   // it is the same on all, or something has gone wrong
};

// Goes through an object's state, piece by piece. The object has one function for it, VisitState(), so that
// what is saved, what is loaded and what is compared between workers cannot differ. Numbers are tensors of no
// dimension, so all of a state fits into a safetensors file, to the bit. Not thread-safe.
class StateVisitor {
 public:
  // While it lives, names begin with its name and a dot, behind those of the ones around it.
  class Within {
   public:
    // Borrows the visitor.
    Within(StateVisitor& visitor, std::string_view name);
    ~Within();
    Within(const Within&) = delete;
    Within& operator=(const Within&) = delete;

   private:
    StateVisitor& visitor_;
    std::size_t outer_;
  };

  virtual ~StateVisitor() = default;

  // Whether pieces get other values.
  virtual bool loads() const { return false; }
  // Whether the state is of a world of as many workers as there are now. Else what belongs to a number of
  // workers is not to be visited.
  virtual bool same_world() const { return true; }

  // A tensor. One that is not defined is left out.
  void Tensor(std::string_view name, Held held, at::Tensor& tensor) {
    OnTensor(prefix_ + std::string(name), held, tensor, nullptr);
  }
  // One that comes to be while the object works. One that is not defined is left out; when loading, it
  // becomes what there is under its name, if anything, which is to have the shape and type of `like`.
  void Tensor(std::string_view name, Held held, at::Tensor& tensor, const at::Tensor& like);
  // One that is defined and stays in its place.
  void TensorInPlace(std::string_view name, Held held, at::Tensor tensor) { Tensor(name, held, tensor); }

  // A number, which gets what was saved when loading.
  void Number(std::string_view name, Held held, double& value);
  // A whole number.
  void Number(std::string_view name, Held held, std::int64_t& value);
  // A whole number of another type, or a bool, as 64 bits.
  template <class T>
  void Number(std::string_view name, Held held, T& value) {
    static_assert(std::is_integral_v<T>);
    auto wide = static_cast<std::int64_t>(value);
    Number(name, held, wide);
    value = static_cast<T>(wide);
  }

  // Records of plain memory, as many as there are.
  template <class T>
  void Records(std::string_view name, Held held, std::vector<T>& records) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::string bytes(reinterpret_cast<const char*>(records.data()), records.size() * sizeof(T));
    Bytes(name, held, bytes, sizeof(T));
    records.resize(bytes.size() / sizeof(T));
    if (!records.empty()) std::memcpy(records.data(), bytes.data(), records.size() * sizeof(T));
  }
  // Of any length that `unit` divides.
  void Bytes(std::string_view name, Held held, std::string& bytes, std::size_t unit = 1);

 protected:
  // Whether a tensor that is not defined may become this one.
  using Accepts = std::function<bool(const at::Tensor& saved)>;

 private:
  // name: whole. accepts: null where a tensor that is not defined stays so.
  virtual void OnTensor(const std::string& name, Held held, at::Tensor& tensor, const Accepts& accepts) = 0;

  std::string prefix_;
};

// Copies a state, to the CPU. Tensors that are gone through stay as they are.
class StateSaver final : public StateVisitor {
 public:
  // What has been copied, in the order of the visit; nothing of it stays here.
  NamedTensors Take() { return std::move(tensors_); }

 private:
  void OnTensor(const std::string& name, Held held, at::Tensor& tensor, const Accepts& accepts) override;

  NamedTensors tensors_;
};

// Gives an object the state that a StateSaver copied from one like it.
class StateLoader final : public StateVisitor {
 public:
  // source: for messages, where the state comes from. device: where tensors are made that the object does not
  // have yet.
  StateLoader(NamedTensors tensors, std::string source, at::Device device, bool same_world = true);

  bool loads() const override { return true; }
  bool same_world() const override { return same_world_; }

 private:
  // Throws DataError when there is no such tensor, or one of another shape or type.
  void OnTensor(const std::string& name, Held held, at::Tensor& tensor, const Accepts& accepts) override;

  std::map<std::string, at::Tensor> tensors_;
  std::string source_;
  at::Device device_;
  bool same_world_;
};

// Checksums of the pieces that all workers hold alike.
class StateDigest final : public StateVisitor {
 public:
  // One piece and its checksum.
  struct Piece {
    std::string name;        // whole, with those of Within
    std::uint32_t checksum;  // CRC-32 of its bytes
  };
  // Those visited so far, in their order.
  const std::vector<Piece>& pieces() const { return pieces_; }

 private:
  void OnTensor(const std::string& name, Held held, at::Tensor& tensor, const Accepts& accepts) override;

  std::vector<Piece> pieces_;
};

// The state of SGD, Adam or AdamW: momenta, counts of steps. Local. Throws UsageError for another optimizer.
void VisitState(StateVisitor& state, torch::optim::Optimizer& optimizer);

}  // namespace swarmsync
