#include "comm/codec.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace swarmsync {
namespace {

constexpr std::int64_t kBlock = 512;

// Adding it to a float below 2^22 and taking it away again rounds to a whole number, ties to even.
constexpr float kRounder = 12582912.0f;

float Scale(const float* x, std::int64_t count) {
  float largest = 0, zero = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::abs(x[i]));
    zero += x[i] * 0.0f;  // NaN, where x is not finite
  }
  return zero == 0 ? largest / 127 : std::numeric_limits<float>::quiet_NaN();
}

// Each format: the bytes of a block of so many numbers, and to and from it.
struct Bf16 {
  static std::int64_t Bytes(std::int64_t count) { return 2 * count; }

  static void Encode(const float* x, std::int64_t count, std::uint8_t* out) {
    for (std::int64_t i = 0; i < count; ++i) {
      std::uint32_t bits;
      std::memcpy(&bits, x + i, sizeof bits);
      const bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
      const std::uint32_t rounded = is_nan ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
      const auto half = static_cast<std::uint16_t>(rounded);
      std::memcpy(out + 2 * i, &half, sizeof half);
    }
  }

  static void Decode(const std::uint8_t* in, std::int64_t count, float* x) {
    for (std::int64_t i = 0; i < count; ++i) {
      std::uint16_t half;
      std::memcpy(&half, in + 2 * i, sizeof half);
      const std::uint32_t bits = static_cast<std::uint32_t>(half) << 16;
      std::memcpy(x + i, &bits, sizeof bits);
    }
  }
};

struct Int8 {
  static std::int64_t Bytes(std::int64_t count) {
    return count > 0 ? count + static_cast<std::int64_t>(sizeof(float)) : 0;
  }

  static void Encode(const float* x, std::int64_t count, std::uint8_t* out) {
    const float scale = Scale(x, count);
    std::memcpy(out, &scale, sizeof scale);
    auto* const steps = reinterpret_cast<std::int8_t*>(out + sizeof scale);
    if (!(scale > 0)) {
      std::fill_n(steps, count, std::int8_t{0});
      return;
    }
    // A scale may be so small that its inverse is infinite; then numbers are sent as 0 or the largest.
    const float inverse = std::min(1 / scale, std::numeric_limits<float>::max());
    for (std::int64_t i = 0; i < count; ++i) {
      const float step = std::min(127.0f, std::max(-127.0f, x[i] * inverse));
      steps[i] = static_cast<std::int8_t>(static_cast<std::int32_t>((step + kRounder) - kRounder));
    }
  }

  static void Decode(const std::uint8_t* in, std::int64_t count, float* x) {
    float scale;
    std::memcpy(&scale, in, sizeof scale);
    const auto* const steps = reinterpret_cast<const std::int8_t*>(in + sizeof scale);
    for (std::int64_t i = 0; i < count; ++i) x[i] = scale * static_cast<float>(steps[i]);
  }
};

template <class F>
void ForBlocks(std::int64_t size, F&& f) {
  for (std::int64_t begin = 0; begin < size; begin += kBlock) f(begin, std::min(kBlock, size - begin));
}

template <class Format>
void EncodeAs(const Change& change, std::int64_t size, std::uint8_t* out) {
  const auto factor = static_cast<float>(change.factor);
  ForBlocks(size, [&](std::int64_t begin, std::int64_t count) {
    float x[kBlock], arrives[kBlock];
    std::copy_n(change.values + begin, count, x);
    if (change.reference != nullptr) {
      for (std::int64_t i = 0; i < count; ++i) x[i] -= change.reference[begin + i];
    }
    if (factor != 1) {
      for (std::int64_t i = 0; i < count; ++i) x[i] *= factor;
    }
    if (change.lost != nullptr) {
      for (std::int64_t i = 0; i < count; ++i) x[i] += change.lost[begin + i];
    }
    Format::Encode(x, count, out);
    if (change.lost != nullptr) {
      Format::Decode(out, count, arrives);
      for (std::int64_t i = 0; i < count; ++i) {
        const float lost = x[i] - arrives[i];
        change.lost[begin + i] = lost * 0.0f == 0 ? lost : 0;
      }
    }
    out += Format::Bytes(count);
  });
}

template <class Format>
void AddAs(const std::uint8_t* in, double factor, std::int64_t size, float* sum) {
  ForBlocks(size, [&](std::int64_t begin, std::int64_t count) {
    float x[kBlock];
    Format::Decode(in, count, x);
    for (std::int64_t i = 0; i < count; ++i) sum[begin + i] += static_cast<float>(factor) * x[i];
    in += Format::Bytes(count);
  });
}

// Calls f with the format.
template <class F>
auto WithFormat(Wire wire, F&& f) {
  return wire == Wire::kBf16 ? f(Bf16()) : f(Int8());
}

}  // namespace

std::size_t EncodedBytes(Wire wire, std::int64_t size) {
  return WithFormat(wire, [&](auto format) {
    const std::int64_t blocks = size / kBlock;
    return static_cast<std::size_t>(blocks * format.Bytes(kBlock) + format.Bytes(size % kBlock));
  });
}

void EncodeChange(Wire wire, const Change& change, std::int64_t size, std::uint8_t* out) {
  WithFormat(wire, [&](auto format) { EncodeAs<decltype(format)>(change, size, out); });
}

void AddDecoded(Wire wire, const std::uint8_t* in, double factor, std::int64_t size, float* sum) {
  WithFormat(wire, [&](auto format) { AddAs<decltype(format)>(in, factor, size, sum); });
}

}  // namespace swarmsync
