#pragma once

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "swarmsync/base/error.h"

namespace swarmsync {

// The types of tensors that files of weights hold, and what the formats call them.
struct TypeNames {
  at::ScalarType type;
  std::string_view safetensors;
  std::string_view storage;  // the class in Python's module torch
};
inline constexpr std::array<TypeNames, 10> kTypeNames{{
    {at::kFloat, "F32", "FloatStorage"},
    {at::kDouble, "F64", "DoubleStorage"},
    {at::kHalf, "F16", "HalfStorage"},
    {at::kBFloat16, "BF16", "BFloat16Storage"},
    {at::kLong, "I64", "LongStorage"},
    {at::kInt, "I32", "IntStorage"},
    {at::kShort, "I16", "ShortStorage"},
    {at::kChar, "I8", "CharStorage"},
    {at::kByte, "U8", "ByteStorage"},
    {at::kBool, "BOOL", "BoolStorage"},
}};

// Throws UsageError, with the tensor's name, for other types.
inline const TypeNames& NamesOf(at::ScalarType type, const std::string& tensor) {
  for (const TypeNames& names : kTypeNames) {
    if (names.type == type) return names;
  }
  throw UsageError(
      fmt::format("tensor '{}' has type {}, which files of weights do not hold; convert it first", tensor,
                  c10::toString(type)));
}

// format: the member that the name is in.
inline std::optional<at::ScalarType> TypeNamed(std::string_view name, std::string_view TypeNames::*format) {
  for (const TypeNames& names : kTypeNames) {
    if (names.*format == name) return names.type;
  }
  return std::nullopt;
}

// A truth is a byte in a file, and a file may have other bytes than 0 and 1, which a bool must not be.
inline at::ScalarType StoredAs(at::ScalarType type) { return type == at::kBool ? at::kByte : type; }
inline at::Tensor FromStored(const at::Tensor& stored, at::ScalarType type) {
  return type == at::kBool ? stored.ne(0) : stored;
}

}  // namespace swarmsync
