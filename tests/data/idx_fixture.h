#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace swarmsync {

// Writes small data sets as IDX files, for tests. Header only, no room but `base` is needed.

inline void AppendBigEndian32(std::string* bytes, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes->push_back(static_cast<char>(value >> shift & 0xff));
}

// An IDX file of images; `pixels` is [count, height, width]. The header says what it is told, right or wrong.
inline std::string IdxImagesBytes(std::uint32_t count, std::uint32_t height, std::uint32_t width,
                                  const std::vector<std::uint8_t>& pixels) {
  std::string bytes;
  for (const std::uint32_t word : {0x803u, count, height, width}) AppendBigEndian32(&bytes, word);
  bytes.append(pixels.begin(), pixels.end());
  return bytes;
}

inline std::string IdxLabelsBytes(const std::vector<std::uint8_t>& labels) {
  std::string bytes;
  AppendBigEndian32(&bytes, 0x801u);
  AppendBigEndian32(&bytes, static_cast<std::uint32_t>(labels.size()));
  bytes.append(labels.begin(), labels.end());
  return bytes;
}

inline void WriteBytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path.string());
}

struct IdxFixtureOptions {
  std::uint32_t train = 256;
  std::uint32_t test = 64;
  std::uint32_t height = 28;
  std::uint32_t width = 28;
  std::uint32_t classes = 10;  // at most `train`, so that each occurs; at most 256
  std::uint32_t seed = 1;
};

// Writes the four standard files into `dir`, which it creates. Sample i is of class i % classes: a coarse
// pattern of light and dark cells that belongs to the class, the same in both splits, with noise on every
// pixel. A linear model learns it in a few steps, a convolutional one too. The same options write the same
// bytes everywhere.
inline void WriteIdxDataset(const std::filesystem::path& dir, const IdxFixtureOptions& options = {}) {
  std::filesystem::create_directories(dir);
  std::mt19937 random(
      options.seed);  // its words, unlike the standard's distributions, are the same everywhere
  const std::uint32_t cell = std::max(1u, std::min(options.height, options.width) / 7);
  const std::uint32_t rows = (options.height + cell - 1) / cell, columns = (options.width + cell - 1) / cell;
  std::vector<std::uint8_t> patterns(static_cast<std::size_t>(options.classes) * rows * columns);
  for (std::uint8_t& light : patterns) light = static_cast<std::uint8_t>((random() & 1) != 0 ? 176 : 16);

  const auto write_split = [&](std::uint32_t count, const char* images_name, const char* labels_name) {
    std::vector<std::uint8_t> labels, pixels;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t label = i % options.classes;
      labels.push_back(static_cast<std::uint8_t>(label));
      for (std::uint32_t y = 0; y < options.height; ++y) {
        for (std::uint32_t x = 0; x < options.width; ++x) {
          const std::uint32_t light = patterns[(label * rows + y / cell) * columns + x / cell];
          pixels.push_back(static_cast<std::uint8_t>(light + random() % 80));  // at most 255
        }
      }
    }
    WriteBytes(dir / images_name, IdxImagesBytes(count, options.height, options.width, pixels));
    WriteBytes(dir / labels_name, IdxLabelsBytes(labels));
  };
  write_split(options.train, "train-images-idx3-ubyte", "train-labels-idx1-ubyte");
  write_split(options.test, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte");
}

}  // namespace swarmsync
