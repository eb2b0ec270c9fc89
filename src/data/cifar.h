#pragma once

#include <filesystem>
#include <memory>

#include "data/byte_images.h"

namespace swarmsync {

// The binary layout of CIFAR-10: files of records of 3073 bytes, a label 0-9 and 3x32x32 pixels, channel
// after channel. All is local; the files are mapped.

inline constexpr std::int64_t kCifarRecord = 1 + 3 * 32 * 32;
inline constexpr std::int64_t kCifarClasses = 10;
inline constexpr const char* kCifarTest = "test_batch.bin";

// "data_batch_1.bin" …
std::string CifarTrainFile(int number);

struct CifarDirectory {
  std::shared_ptr<const ByteImages> train;  // data_batch_1.bin, …_2.bin, … as far as there are
  std::shared_ptr<const ByteImages> test;
};

// Throws DataError for a file that is missing, empty or no whole number of records, and for a label above 9.
CifarDirectory ReadCifarDirectory(const std::filesystem::path& dir);

}  // namespace swarmsync
