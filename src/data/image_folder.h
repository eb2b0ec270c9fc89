#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/byte_images.h"
#include "data/image_codec.h"

namespace swarmsync {

// A folder of class folders of PNG and JPEG files, as torchvision's ImageFolder takes it; classes are
// numbered in the order of their names. DIR/train and DIR/test (or DIR/val) hold such folders each; a DIR
// without `train` is one itself, and every tenth file of each class, by name, is for the test.
struct ImageFolder {
  std::shared_ptr<const ByteImages> train;
  std::shared_ptr<const ByteImages> test;
  std::vector<std::string> classes;
  std::vector<std::string> skipped;  // a line for each file that could not be read, with the reason
};

// Decodes all images into memory, as RGB, resized to `extent`: by default the size that most training images
// have. Local; reads every file. Throws DataError when there are no classes, a class has no image that can be
// read, the test set has other classes than the training set, or no image is left for the test.
ImageFolder ReadImageFolder(const std::filesystem::path& dir, std::optional<ImageExtent> extent);

}  // namespace swarmsync
