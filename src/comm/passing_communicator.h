#pragma once

#include <memory>
#include <vector>

#include "swarmsync/comm/communicator.h"

namespace swarmsync {

// Passes every call on: for those that do something else in a few. Borrows `inner`.
class PassingCommunicator : public Communicator {
 public:
  explicit PassingCommunicator(Communicator& inner) : inner_(inner) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override {
    inner_.AllReduce(in, factors, out);
  }
  void Broadcast(const at::Tensor& inout, int root) override { inner_.Broadcast(inout, root); }
  void AllGatherBytes(const void* mine, std::size_t bytes, void* all) override {
    inner_.AllGatherBytes(mine, bytes, all);
  }
  void AllToAllBytes(const void* mine, std::size_t bytes, void* all) override {
    inner_.AllToAllBytes(mine, bytes, all);
  }
  std::unique_ptr<Communicator> Split(int color, double patience) override {
    return inner_.Split(color, patience);
  }

 private:
  Communicator& inner_;
};

}  // namespace swarmsync
