#include "model/max_pool.h"

#include <torch/torch.h>

#include "model/plain.h"

namespace swarmsync {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What is not a number comes before all else, as in libtorch.
inline float Larger(float best, float value) { return (value > best) | (value != value) ? value : best; }

void PoolRow(const float* __restrict above, const float* __restrict below, std::int64_t width,
             float* __restrict pooled) {
  for (std::int64_t i = 0; i < width; ++i) {
    pooled[i] = Larger(Larger(Larger(above[2 * i], above[2 * i + 1]), below[2 * i]), below[2 * i + 1]);
  }
}

// The gradient goes to the first pixel that is the maximum; there is nothing left of it for the others.
void SpreadRow(const float* __restrict above, const float* __restrict below, const float* __restrict pooled,
               const float* __restrict gradient, std::int64_t width, float* __restrict to_above,
               float* __restrict to_below) {
  for (std::int64_t i = 0; i < width; ++i) {
    const float to_first = above[2 * i] == pooled[i] ? gradient[i] : 0.0f;
    const float after_first = gradient[i] - to_first;
    const float to_second = above[2 * i + 1] == pooled[i] ? after_first : 0.0f;
    const float after_second = after_first - to_second;
    const float to_third = below[2 * i] == pooled[i] ? after_second : 0.0f;
    to_above[2 * i] = to_first;
    to_above[2 * i + 1] = to_second;
    to_below[2 * i] = to_third;
    to_below[2 * i + 1] = after_second - to_third;
  }
}

// Calls visit(where a square row begins in [N, C, H, W], where its pooled row begins in [N, C, H/2, W/2]) for
// each.
template <typename Visit>
void ForEachSquareRow(const at::Tensor& images, Visit visit) {
  const std::int64_t planes = images.size(0) * images.size(1), height = images.size(2),
                     width = images.size(3);
  for (std::int64_t plane = 0; plane < planes; ++plane) {
    for (std::int64_t row = 0; row < height / 2; ++row) {
      visit((plane * height + 2 * row) * width, (plane * (height / 2) + row) * (width / 2));
    }
  }
}

struct MaxPoolFunction : torch::autograd::Function<MaxPoolFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& images) {
    const std::int64_t height = images.size(2), width = images.size(3);
    at::Tensor pooled = at::empty({images.size(0), images.size(1), height / 2, width / 2}, images.options());
    const float* from = images.data_ptr<float>();
    float* to = pooled.data_ptr<float>();
    ForEachSquareRow(images, [=](std::int64_t square, std::int64_t row) {
      PoolRow(from + square, from + square + width, width / 2, to + row);
    });
    context->save_for_backward({images, pooled});
    return pooled;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "MaxPool2x2 has no second derivative");
    const variable_list saved = context->get_saved_variables();
    const at::Tensor images = saved[0], pooled = saved[1], gradient = gradients[0].contiguous();
    const std::int64_t height = images.size(2), width = images.size(3);
    const bool odd = height % 2 != 0 || width % 2 != 0;
    at::Tensor spread = odd ? at::zeros_like(images) : at::empty_like(images);
    const float *from = images.data_ptr<float>(), *largest = pooled.data_ptr<float>(),
                *given = gradient.data_ptr<float>();
    float* to = spread.data_ptr<float>();
    ForEachSquareRow(images, [=](std::int64_t square, std::int64_t row) {
      SpreadRow(from + square, from + square + width, largest + row, given + row, width / 2, to + square,
                to + square + width);
    });
    return {spread};
  }
};

}  // namespace

at::Tensor MaxPool2x2(const at::Tensor& images) {
  const bool for_us = IsPlain(images, 4) && images.size(2) >= 2 && images.size(3) >= 2;
  return for_us ? MaxPoolFunction::apply(images) : at::max_pool2d(images, 2);
}

}  // namespace swarmsync
