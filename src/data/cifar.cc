#include "data/cifar.h"

#include <fmt/format.h>

#include <system_error>
#include <utility>
#include <vector>

#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

namespace fs = std::filesystem;

// The records of some files, one after another.
class CifarImages : public ByteImages {
 public:
  explicit CifarImages(const std::vector<fs::path>& paths) : name_(paths.front().string()) {
    for (const fs::path& path : paths) Open(path);
  }

  ImageShape shape() const override { return {3, 32, 32}; }
  std::int64_t size() const override { return static_cast<std::int64_t>(records_.size()); }
  const std::uint8_t* pixels(std::int64_t i) const override { return Record(i) + 1; }
  std::int64_t label(std::int64_t i) const override { return *Record(i); }
  std::string images_name() const override { return name_; }

 private:
  const std::uint8_t* Record(std::int64_t i) const { return records_[static_cast<std::size_t>(i)]; }

  void Open(const fs::path& path) {
    const MappedFile& file = *files_.emplace_back(std::make_unique<MappedFile>(path));
    const auto size = static_cast<std::int64_t>(file.size());
    if (size == 0 || size % kCifarRecord != 0) {
      throw DataError(
          fmt::format("{}: truncated, or no CIFAR-10 file: {} bytes are not a whole number of "
                      "records of {}",
                      path.string(), size, kCifarRecord));
    }
    for (std::int64_t at = 0; at < size; at += kCifarRecord) {
      const std::uint8_t* record = file.data() + at;
      if (*record >= kCifarClasses) {
        throw DataError(fmt::format("{}: label {} of sample {} is out of range: the classes are 0 to {}",
                                    path.string(), *record, at / kCifarRecord, kCifarClasses - 1));
      }
      records_.push_back(record);
    }
  }

  std::string name_;
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::vector<const std::uint8_t*> records_;
};

bool Exists(const fs::path& path) {
  std::error_code ignored;  // what cannot be looked at is not there
  return fs::exists(path, ignored);
}

}  // namespace

std::string CifarTrainFile(int number) { return fmt::format("data_batch_{}.bin", number); }

CifarDirectory ReadCifarDirectory(const fs::path& dir) {
  std::vector<fs::path> train{dir / CifarTrainFile(1)};
  while (Exists(dir / CifarTrainFile(static_cast<int>(train.size()) + 1))) {
    train.push_back(dir / CifarTrainFile(static_cast<int>(train.size()) + 1));
  }
  for (const fs::path& needed : {train.front(), dir / kCifarTest}) {
    if (!Exists(needed)) throw DataError(fmt::format("{}: no such file", needed.string()));
  }
  return {std::make_shared<const CifarImages>(train),
          std::make_shared<const CifarImages>(std::vector<fs::path>{dir / kCifarTest})};
}

}  // namespace swarmsync
