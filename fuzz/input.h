#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

// What the fuzzers share. Each is one function, LLVMFuzzerTestOneInput().
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace swarmsync {

// Bytes are read, or refused with an Error. Whatever else is thrown ends the fuzzer.
template <class Read>
void ReadOrRefuse(Read&& read) {
  try {
    read();
  } catch (const Error&) {
  }
}

inline std::string_view Text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Where this process puts its inputs, as most readers take paths. Fast where TMPDIR is in memory.
inline const std::filesystem::path& InputDirectory() {
  static const PrivateDirectory directory;
  return directory.path();
}

// Writes a file into it. Result: its path.
inline std::filesystem::path WriteInput(const std::filesystem::path& name, std::string_view bytes) {
  std::filesystem::path path = InputDirectory() / name;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) throw std::logic_error("cannot write " + path.string());
  return path;
}

// The parts of an input that is several texts, with a form feed between two; `count` of them, the last with
// all that is left.
inline std::vector<std::string_view> SplitInput(std::string_view input, std::size_t count) {
  std::vector<std::string_view> parts;
  while (parts.size() + 1 < count) {
    const std::size_t end = std::min(input.find('\f'), input.size());
    parts.push_back(input.substr(0, end));
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  parts.push_back(input);
  return parts;
}

// Reads every byte, so that a sanitizer sees those that are not there.
inline void Touch(const void* bytes, std::size_t size) {
  static volatile std::uint8_t sink [[maybe_unused]];
  std::uint8_t sum = 0;
  for (std::size_t i = 0; i < size; ++i) sum ^= static_cast<const std::uint8_t*>(bytes)[i];
  sink = sum;
}

}  // namespace swarmsync
