// A convolution of stride 1 as sums over flat planes. An image's planes lie in memory with zeros around them,
// `pitch` floats from row to row. So a shift by (ky, kx) in the image is one by ky·pitch + kx in memory, and
// with p = y·pitch + x
//
//   out[k][p] = bias[k] + sum_{c,ky,kx} weight[k][c][ky][kx] · in[c][p + ky·pitch + kx]
//
// holds for whole vectors of neighbouring p. Those p that are in the gap between two rows get numbers that
// nobody reads. The gradient of the images is the same sum over the planes of the output's gradient, with the
// weight transposed and turned round; that of the weight is
//
//   to_weight[k][c][ky][kx] = sum_p to_out[k][p] · in[c][p + ky·pitch + kx]
//
// with zeros in to_out where the gap is.

#include "model/conv5x5.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <vector>

#include "base/avx2.h"
#include "model/plain.h"

namespace swarmsync {
namespace {

constexpr std::int64_t kSide = 5, kTaps = kSide * kSide;

#ifdef SWARMSYNC_AVX2

constexpr std::int64_t kLanes = 8;
using Lanes = float __attribute__((vector_size(4 * kLanes)));
using LanesInMemory = float __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

inline const LanesInMemory& At(const float* place) { return *reinterpret_cast<const LanesInMemory*>(place); }
inline LanesInMemory& At(float* place) { return *reinterpret_cast<LanesInMemory*>(place); }

// Blocks that fill the registers: 3 outputs x 3 vectors of sums, 2 x 5 sums of a weight's row.
constexpr std::int64_t kOutputs = 3, kVectors = 3, kWeightOutputs = 2;

// Planes with a border of zeros; those behind a row are those before the next.
struct Planes {
  std::int64_t images, channels, pitch, plane;  // [images][channels][plane]
  at::Tensor memory;                            // and some zeros to read beyond the last plane

  const float* Image(std::int64_t image) const { return memory.data_ptr<float>() + image * channels * plane; }
};

// A flat output has whole vectors, at least a block of them.
std::int64_t VectorsFor(std::int64_t rows, std::int64_t columns, std::int64_t pitch) {
  return std::max(kVectors, ((rows - 1) * pitch + columns + kLanes - 1) / kLanes);
}

void CopyRows(const float* from, std::int64_t from_pitch, std::int64_t rows, std::int64_t columns,
              std::int64_t to_pitch, float* to) {
  for (std::int64_t row = 0; row < rows; ++row) {
    std::copy_n(from + row * from_pitch, columns, to + row * to_pitch);
  }
}

Planes Pad(const at::Tensor& images, std::int64_t border) {
  const std::int64_t height = images.size(2), width = images.size(3), pitch = width + border;
  Planes planes{images.size(0), images.size(1), pitch, (height + 2 * border) * pitch + border, {}};
  const std::int64_t count = planes.images * planes.channels;
  planes.memory = at::zeros({count * planes.plane + kVectors * kLanes}, images.options());
  const float* from = images.data_ptr<float>();
  float* to = planes.memory.data_ptr<float>() + border * pitch + border;
  for (std::int64_t i = 0; i < count; ++i) {
    CopyRows(from + i * height * width, width, height, width, pitch, to + i * planes.plane);
  }
  return planes;
}

// Sums of kOutputs outputs at kVectors neighbouring vectors.
SWARMSYNC_AVX2_PART void CorrelateBlock(const float* in, const Planes& planes, const float* weight,
                                        const float* bias, std::int64_t out_size, float* out) {
  Lanes sums[kOutputs][kVectors];
  for (int k = 0; k < kOutputs; ++k) {
    for (int v = 0; v < kVectors; ++v) sums[k][v] = Lanes{} + bias[k];
  }
  for (std::int64_t c = 0; c < planes.channels; ++c) {
    for (std::int64_t ky = 0; ky < kSide; ++ky) {
      const float* row = in + c * planes.plane + ky * planes.pitch;
      const float* taps = weight + c * kTaps + ky * kSide;
#pragma GCC unroll 5
      for (int kx = 0; kx < kSide; ++kx) {
        for (int v = 0; v < kVectors; ++v) {
          const Lanes pixels = At(row + kx + v * kLanes);
          for (int k = 0; k < kOutputs; ++k) sums[k][v] += pixels * taps[k * planes.channels * kTaps + kx];
        }
      }
    }
  }
  for (int k = 0; k < kOutputs; ++k) {
    for (int v = 0; v < kVectors; ++v) At(out + k * out_size + v * kLanes) = sums[k][v];
  }
}

// out[k][p] of one image, k < outputs, p < vectors · kLanes. The last block of either overlaps the one
// before.
SWARMSYNC_AVX2 void CorrelateImage(const float* in, const Planes& planes, const float* weight,
                                   const float* bias, std::int64_t outputs, std::int64_t vectors,
                                   float* out) {
  const std::int64_t size = vectors * kLanes;
  for (std::int64_t k = 0; k < outputs; k += kOutputs) {
    const std::int64_t first = std::min(k, outputs - kOutputs);
    for (std::int64_t v = 0; v < vectors; v += kVectors) {
      const std::int64_t begin = std::min(v, vectors - kVectors) * kLanes;
      CorrelateBlock(in + begin, planes, weight + first * planes.channels * kTaps, bias + first, size,
                     out + first * size + begin);
    }
  }
}

// Images [N, K, rows, columns] of the correlation of padded planes with a weight [K, C, 5, 5].
at::Tensor Correlate(const Planes& planes, const at::Tensor& weight, const at::Tensor& bias,
                     std::int64_t rows, std::int64_t columns) {
  const std::int64_t outputs = weight.size(0), vectors = VectorsFor(rows, columns, planes.pitch);
  at::Tensor out = at::empty({planes.images, outputs, rows, columns}, planes.memory.options());
  const float *taps = weight.data_ptr<float>(), *start = bias.data_ptr<float>();
  float* to = out.data_ptr<float>();
  at::parallel_for(0, planes.images, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> flat(static_cast<std::size_t>(outputs * vectors * kLanes));
    for (std::int64_t image = begin; image < end; ++image) {
      CorrelateImage(planes.Image(image), planes, taps, start, outputs, vectors, flat.data());
      for (std::int64_t k = 0; k < outputs; ++k) {
        CopyRows(flat.data() + k * vectors * kLanes, planes.pitch, rows, columns, columns,
                 to + (image * outputs + k) * rows * columns);
      }
    }
  });
  return out;
}

// Adds up to_weight[k][c][ky][0..4] of Outputs outputs over some images; eight partial sums of each.
template <std::int64_t Outputs>
SWARMSYNC_AVX2_PART void WeightRow(const float* in, std::int64_t in_image, const float* to_out,
                                   std::int64_t out_image, std::int64_t images, std::int64_t vectors,
                                   std::int64_t weight_size, float* to_weight) {
  Lanes sums[Outputs][kSide];
  for (int k = 0; k < Outputs; ++k) {
    for (int kx = 0; kx < kSide; ++kx) sums[k][kx] = At(to_weight + (k * weight_size + kx) * kLanes);
  }
  for (std::int64_t image = 0; image < images; ++image) {
    for (std::int64_t v = 0; v < vectors; ++v) {
      const float* pixels = in + image * in_image + v * kLanes;
      const float* gradients = to_out + image * out_image + v * kLanes;
#pragma GCC unroll 5
      for (int kx = 0; kx < kSide; ++kx) {
        const Lanes shifted = At(pixels + kx);
        for (int k = 0; k < Outputs; ++k) sums[k][kx] += At(gradients + k * vectors * kLanes) * shifted;
      }
    }
  }
  for (int k = 0; k < Outputs; ++k) {
    for (int kx = 0; kx < kSide; ++kx) At(to_weight + (k * weight_size + kx) * kLanes) = sums[k][kx];
  }
}

// to_weight [Outputs][C][5][5][8] of all images, a few at a time, so that they stay in the cache.
template <std::int64_t Outputs>
SWARMSYNC_AVX2 void WeightGradient(const Planes& planes, const float* to_out, std::int64_t out_image,
                                   std::int64_t vectors, float* to_weight) {
  constexpr std::int64_t kImages = 4;
  for (std::int64_t image = 0; image < planes.images; image += kImages) {
    const std::int64_t images = std::min(kImages, planes.images - image);
    for (std::int64_t c = 0; c < planes.channels; ++c) {
      for (std::int64_t ky = 0; ky < kSide; ++ky) {
        WeightRow<Outputs>(planes.Image(image) + c * planes.plane + ky * planes.pitch,
                           planes.channels * planes.plane, to_out + image * out_image, out_image, images,
                           vectors, planes.channels * kTaps, to_weight + (c * kTaps + ky * kSide) * kLanes);
      }
    }
  }
}

at::Tensor GradientOfWeight(const Planes& planes, const at::Tensor& to_out) {
  const std::int64_t outputs = to_out.size(1), rows = to_out.size(2), columns = to_out.size(3),
                     vectors = VectorsFor(rows, columns, planes.pitch), size = vectors * kLanes;
  const at::Tensor flat = at::zeros({planes.images, outputs, size}, to_out.options());
  for (std::int64_t i = 0; i < planes.images * outputs; ++i) {
    CopyRows(to_out.data_ptr<float>() + i * rows * columns, columns, rows, columns, planes.pitch,
             flat.data_ptr<float>() + i * size);
  }
  const at::Tensor sums = at::zeros({outputs, planes.channels, kSide, kSide, kLanes}, to_out.options());
  const std::int64_t blocks = (outputs + kWeightOutputs - 1) / kWeightOutputs;
  at::parallel_for(0, blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin * kWeightOutputs; k < std::min(end * kWeightOutputs, outputs);
         k += kWeightOutputs) {
      const auto gradient =
          k + kWeightOutputs <= outputs ? &WeightGradient<kWeightOutputs> : &WeightGradient<1>;
      gradient(planes, flat.data_ptr<float>() + k * size, outputs * size, vectors,
               sums.data_ptr<float>() + k * planes.channels * kTaps * kLanes);
    }
  });
  return sums.sum(-1);
}

struct Conv5x5Function : torch::autograd::Function<Conv5x5Function> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& images,
                            const at::Tensor& weight, const at::Tensor& bias, std::int64_t padding) {
    context->save_for_backward({images, weight});
    context->saved_data["padding"] = padding;
    const std::int64_t shrink = kSide - 1 - 2 * padding;
    return Correlate(Pad(images, padding), weight, bias, images.size(2) - shrink, images.size(3) - shrink);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "Conv5x5 has no second derivative");
    const auto saved = context->get_saved_variables();
    const at::Tensor images = saved[0], weight = saved[1], to_out = gradients[0].contiguous();
    const std::int64_t padding = context->saved_data["padding"].toInt();
    at::Tensor to_images;
    if (images.requires_grad()) {
      const at::Tensor turned = weight.flip({2, 3}).transpose(0, 1).contiguous();
      to_images = Correlate(Pad(to_out, kSide - 1 - padding), turned,
                            at::zeros({turned.size(0)}, weight.options()), images.size(2), images.size(3));
    }
    return {to_images, GradientOfWeight(Pad(images, padding), to_out), to_out.sum({0, 2, 3}), at::Tensor()};
  }
};
#endif  // SWARMSYNC_AVX2

}  // namespace

at::Tensor Conv5x5(const at::Tensor& images, const at::Tensor& weight, const at::Tensor& bias,
                   std::int64_t padding) {
#ifdef SWARMSYNC_AVX2
  constexpr std::int64_t kMostChannels = 8;
  const bool plain = IsPlain(images, 4) && IsPlain(weight, 4) && IsPlain(bias, 1);
  const auto is_for_us = [&] {
    const std::int64_t channels = weight.size(1), least = kSide - 2 * padding;
    // The gradient of the images is a correlation with as many outputs as there are channels.
    return channels <= kMostChannels && (channels >= kOutputs || !images.requires_grad()) &&
           weight.size(0) >= kOutputs && weight.size(2) == kSide && weight.size(3) == kSide && padding >= 0 &&
           padding < kSide && images.size(1) == channels && bias.size(0) == weight.size(0) &&
           images.size(2) >= least && images.size(3) >= least && images.size(2) > 0 && images.size(3) > 0;
  };
  if (plain && is_for_us() && HasAvx2()) return Conv5x5Function::apply(images, weight, bias, padding);
#endif
  return at::conv2d(images, weight, bias, 1, padding);
}

}  // namespace swarmsync
