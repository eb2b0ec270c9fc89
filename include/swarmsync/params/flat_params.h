#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace torch::nn {
class Module;
}

namespace swarmsync {

// A module's weights and gradients as one contiguous, aligned tensor each, and its buffers as another.
//
// Construction moves every parameter once into its slot of the flat tensor and makes the module's parameter,
// and its gradient, views of the slots. From then on forward, backward, the optimizer, the exchange and the
// saved file all work on the same memory, and nobody copies it again.
//
// Layout: the parameters in the module's order, each slot padded with zeros to 64 bytes. Behind the last slot
// both tensors have room for one more number, which can travel with them in a collective.
// Buffers of float32, such as the running statistics of a BatchNorm, lie in a flat tensor of their own, made
// in the same way; others, such as counters, stay where they are.
//
// Local. Not thread-safe. Borrows the module, which must outlive it. All parameters must be float32 on one
// device, and the float32 buffers too; anything else is a UsageError.
class FlatParams {
 public:
  // Where a parameter lies in the flat tensors.
  struct Slot {
    std::string name;                   // the module's name for the parameter, such as "conv1.weight"
    std::int64_t offset;                // first element in the flat tensor, a multiple of 16
    std::int64_t size;                  // number of elements
    std::int64_t logical_offset;        // first element when the parameters are counted without padding
    std::vector<std::int64_t> sizes;    // the parameter's shape
    std::vector<std::int64_t> strides;  // the parameter's strides: channels-last stays channels-last
    bool trains;                        // whether it wanted a gradient when the FlatParams was made
  };

  // Takes all parameters and float32 buffers of the module and of those within it. Gradients that they have
  // are kept. Throws UsageError also for a module without parameters.
  explicit FlatParams(torch::nn::Module& module);
  ~FlatParams();
  FlatParams(const FlatParams&) = delete;
  FlatParams& operator=(const FlatParams&) = delete;

  // Weights and buffers like these, with the same values in memory of their own, and neither a module nor
  // gradients: for an exchange beside the training.
  std::unique_ptr<FlatParams> Shadow() const;

  // Of the parameters, in the module's order.
  const std::vector<Slot>& slots() const { return slots_; }
  std::int64_t num_params() const { return num_params_; }  // without padding

  const at::Tensor& weights() const { return weights_; }      // [flat_size]
  const at::Tensor& gradients() const { return gradients_; }  // [flat_size]

  // The weights and, behind them, one number that is free for a collective's own use. [flat_size + 1]
  const at::Tensor& weight_message() const { return weight_message_; }

  // The gradients and, behind them, one number that is free for a collective's own use. [flat_size + 1]
  const at::Tensor& gradient_message() const { return gradient_message_; }

  // [flat_size of the buffers], empty without any.
  const at::Tensor& buffers() const { return buffers_; }

  // A tensor like weights(), of zeros, for state that belongs to each weight. [flat_size]
  at::Tensor NewState() const;

  // The part of a flat tensor that belongs to a slot, in the parameter's shape. Shares memory.
  static at::Tensor View(const at::Tensor& flat, const Slot& slot);

  // Sets all gradients to zero and keeps the views (unlike `zero_grad`, which may drop them).
  void ZeroGrad();

  // Scales all gradients, as one vector, down to `max_norm` if its Euclidean norm is larger, as PyTorch's
  // clip_grad_norm_ does. One that is not finite stays as it is.
  void ClipGradients(double max_norm);

  // Whether the parameter wants a gradient now. slot: an index of slots().
  bool Trains(std::size_t slot) const;
  // Whether it has a gradient, and that in its slot.
  bool HasGradientInPlace(std::size_t slot) const;

  // Calls on_gradient(slot) when a backward() has put or added up a gradient, for each parameter that trains
  // now; what it throws, backward() throws. From the thread of that backward(), which for the CPU is the one
  // that calls it. One callback at a time; nullptr: none.
  void WatchGradients(std::function<void(std::size_t slot)> on_gradient);

  // Takes back parameters, gradients and buffers that something replaced (`zero_grad` with set_to_none, an
  // assignment to `.data`): their values are copied into their slots and the views restored. Cheap when none
  // strayed. Returns how many tensors had strayed. Throws UsageError when one has changed its shape, type or
  // device.
  int Readopt();

 private:
  FlatParams();
  int ReadoptGradient(std::size_t slot);

  std::vector<Slot> slots_, buffer_slots_;
  std::vector<at::Tensor> parameters_, module_buffers_;  // the module's own, by slot
  std::vector<at::Tensor> gradient_views_;               // by slot
  struct Watch;
  std::unique_ptr<Watch> watch_;
  std::int64_t num_params_ = 0;
  at::Tensor weights_, weight_message_, gradients_, gradient_message_, buffers_;
};

}  // namespace swarmsync
