#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "swarmsync/base/file.h"
#include "swarmsync/data/dataset.h"

namespace swarmsync {

// What a file in IDX, the format of MNIST, holds.
enum class IdxKind {
  kLabels,  // magic 0x00000801, one dimension: [count]
  kImages,  // magic 0x00000803, three dimensions: [count, height, width]
};

// One IDX file: a magic number whose last byte is the number of dimensions, the dimensions as big-endian
// 32-bit numbers, then the values, here always unsigned bytes. A raw file is mapped and not copied; a gzipped
// one, recognized by its first bytes and not by its name, is inflated into memory. What comes from a file is
// checked before it is believed. Local. Immutable; safe to read from any thread.
class IdxFile {
 public:
  // Throws DataError when the file is missing, truncated, has bytes after its last value, a magic number of
  // another kind, a dimension of 0, a height or width above 65535, or damaged compression; it names the path,
  // what was found and what was expected.
  IdxFile(std::filesystem::path path, IdxKind kind);

  const std::filesystem::path& path() const { return path_; }  // of the file
  std::int64_t count() const { return count_; }                // labels or images, at least 1
  std::int64_t height() const { return height_; }              // 1 for labels
  std::int64_t width() const { return width_; }                // 1 for labels
  const std::uint8_t* values() const { return values_; }  // [count, height, width]; lives as long as this

 private:
  struct Header;
  Header ParseHeader(const std::uint8_t* bytes, std::size_t size, IdxKind kind) const;
  void ReadRaw(IdxKind kind);
  void ReadGzip(IdxKind kind);

  std::filesystem::path path_;
  std::int64_t count_ = 0;
  std::int64_t height_ = 1;
  std::int64_t width_ = 1;
  const std::uint8_t* values_ = nullptr;
  std::unique_ptr<MappedFile> mapped_;  // raw: the whole file
  std::vector<std::uint8_t> inflated_;  // gzip: the values
};

// The standard name of the file of the training images.
inline constexpr const char* kIdxTrainImages = "train-images-idx3-ubyte";
inline constexpr const char* kIdxTrainLabels = "train-labels-idx1-ubyte";  // likewise, of their labels
inline constexpr const char* kIdxTestImages = "t10k-images-idx3-ubyte";    // likewise, of the test images
inline constexpr const char* kIdxTestLabels = "t10k-labels-idx1-ubyte";    // likewise, of their labels

// The path of the file with the standard name `name` in `dir`, or nothing. In this order: as given, with the
// dot that some mirrors write (train-images.idx3-ubyte), and both with .gz.
std::optional<std::filesystem::path> FindIdxFile(const std::filesystem::path& dir, const std::string& name);

// Images and their labels, of which there are equally many, at least one.
struct IdxSplit {
  std::shared_ptr<const IdxFile> images;  // of IdxKind::kImages
  std::shared_ptr<const IdxFile> labels;  // of IdxKind::kLabels, one for each image
};

// A data set in four IDX files.
struct IdxDirectory {
  IdxSplit train;  // to train on
  IdxSplit test;   // its images have the shape of those of `train`
};

// Reads the four files of `dir`. Throws DataError as IdxFile does, and for a file that is not there, for
// counts of images and labels that differ, and for shapes of training and test images that differ.
IdxDirectory ReadIdxDirectory(const std::filesystem::path& dir);

}  // namespace swarmsync
