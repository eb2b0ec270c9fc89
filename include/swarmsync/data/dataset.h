#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace swarmsync {

// The size of an image.
struct ImageShape {
  std::int64_t channels = 0;  // 1 for grey, 3 for red, green and blue
  std::int64_t height = 0;    // in pixels
  std::int64_t width = 0;     // in pixels

  // How many numbers an image is.
  std::int64_t num_pixels() const { return channels * height * width; }
  friend bool operator==(const ImageShape& a, const ImageShape& b) {
    return a.channels == b.channels && a.height == b.height && a.width == b.width;
  }
  friend bool operator!=(const ImageShape& a, const ImageShape& b) { return !(a == b); }
};

// "1x28x28": channels, height, width.
std::string ToString(const ImageShape& shape);

// A pixel that is p in 0..1 reaches the model as (p - mean) / stddev of its channel.
struct Normalization {
  std::vector<float> mean;    // [channels]
  std::vector<float> stddev;  // [channels], above 0
};

// The labelled images of one split. Immutable: every method may be called from any thread at once. All is
// local. A set that reads a mapped file needs that file to stay as it is while the set lives: a file that
// somebody truncates meanwhile ends the process with SIGBUS.
class ImageSet {
 public:
  virtual ~ImageSet() = default;

  virtual ImageShape shape() const = 0;   // of every image
  virtual std::int64_t size() const = 0;  // number of samples

  // The class of sample i, 0 … num_classes - 1. Throws UsageError unless 0 <= i < size().
  virtual std::int64_t label(std::int64_t i) const = 0;

  // Gathers, converts and normalizes in one pass the samples indices[0 … n-1] into the caller's memory:
  // `images` is [n, channels, height, width], contiguous; `labels` is [n]. Throws UsageError at an index that
  // is not in 0 … size()-1; what was written before it stays written.
  virtual void Fill(const std::int64_t* indices, std::int64_t n, float* images,
                    std::int64_t* labels) const = 0;
};

// A data set for image classification. Cheap to copy: the copies share the images.
struct Dataset {
  std::string name;                       // as OpenDataset was asked
  ImageShape shape;                       // of every image of both splits
  std::int64_t num_classes = 0;           // labels are 0 … num_classes - 1
  Normalization normalization;            // that both splits come out with
  std::shared_ptr<const ImageSet> train;  // to train on, and to hold some out of
  std::shared_ptr<const ImageSet> test;   // to judge by in the end
  std::vector<std::string> skipped;       // a line for each image file that could not be read
};

// What the caller wants in place of what the data set says.
struct DatasetOptions {
  // What a saved model was trained with, in place of the set's own; one for another number of channels plays
  // no part.
  std::optional<Normalization> normalization;
  std::optional<ImageShape> shape;  // images:DIR is resized to this; no part for the others
};

// Opens `name`:
//   mnist, fashion-mnist, cifar10   files in data_dir/NAME, with ten classes and the usual constants to
//                                   normalize with
//   idx:DIR, cifar:DIR              a directory with the four IDX files (idx.h), or with CIFAR-10's binary
//                                   layout (data_batch_1.bin …, test_batch.bin;
//                                   ten classes)
//   images:DIR                      a folder of class folders of PNG and JPEG files, or one with such folders
//                                   `train` and `test` (or `val`); without these every tenth file of a class
//                                   is for the test
// Raw files are mapped, so processes that open the same data share one copy in memory; gzipped ones are
// inflated into memory, and images are decoded into it, at the size that most training images have. For
// idx:DIR the classes are 0 … the highest training label, each of which must occur in the training set. Where
// the constants are not known, mean and standard deviation are computed here over all pixels of the training
// set (and of it only). Local, reads all labels (and for a DIR all training pixels) once. Throws UsageError
// for a name that it does not know, suggesting the nearest, and DataError for data that is missing (the
// message names the command that gets it), damaged, or does not fit together. It computes no checksums:
// VerifyDataset (catalog.h) does.
Dataset OpenDataset(const std::string& name, const std::filesystem::path& data_dir,
                    const DatasetOptions& options = {});

// What OpenDataset accepts, for help texts: "mnist", …, "images:DIR".
std::vector<std::string> DatasetNames();

// Where data sets are kept unless the user says otherwise: $SWARMSYNC_DATA_DIR, else
// $XDG_DATA_HOME/swarmsync, else ~/.local/share/swarmsync. An empty variable counts as unset, and so does an
// XDG_DATA_HOME that is not absolute, as its specification asks. Throws UsageError when HOME is needed and
// not set. Reads the environment: not while another thread changes it.
std::filesystem::path DefaultDataDir();

}  // namespace swarmsync
