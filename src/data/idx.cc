#include "swarmsync/data/idx.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <system_error>
#include <utility>

#include "data/gzip.h"
#include "data/pixel_tables.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

constexpr std::uint64_t kMaxSide = 65535;  // with a 32-bit count, count · height · width stays below 2^64
constexpr std::size_t kMaxHeaderSize = 16;

std::size_t HeaderSize(IdxKind kind) { return kind == IdxKind::kImages ? 16 : 8; }
std::uint32_t Magic(IdxKind kind) { return kind == IdxKind::kImages ? 0x00000803 : 0x00000801; }
const char* What(IdxKind kind) { return kind == IdxKind::kImages ? "images" : "labels"; }

std::uint32_t BigEndian32(const std::uint8_t* bytes) {
  return static_cast<std::uint32_t>(bytes[0]) << 24 | static_cast<std::uint32_t>(bytes[1]) << 16 |
         static_cast<std::uint32_t>(bytes[2]) << 8 | static_cast<std::uint32_t>(bytes[3]);
}

// The split of one IDX pair, read where it lies.
class IdxImageSet : public ImageSet {
 public:
  IdxImageSet(IdxSplit split, const Normalization& normalization)
      : split_(std::move(split)),
        tables_(normalization, 1),
        pixels_(split_.images->values()),
        labels_(split_.labels->values()),
        image_size_(static_cast<std::size_t>(split_.images->height() * split_.images->width())) {}

  ImageShape shape() const override { return {1, split_.images->height(), split_.images->width()}; }
  std::int64_t size() const override { return split_.images->count(); }

  std::int64_t label(std::int64_t i) const override {
    CheckIndex(i);
    return labels_[i];
  }

  void Fill(const std::int64_t* indices, std::int64_t n, float* images, std::int64_t* labels) const override {
    for (std::int64_t k = 0; k < n; ++k) {
      const std::int64_t i = indices[k];
      CheckIndex(i);
      tables_.Convert(pixels_ + static_cast<std::size_t>(i) * image_size_, image_size_, images);
      images += image_size_;
      labels[k] = labels_[i];
    }
  }

 private:
  void CheckIndex(std::int64_t i) const {
    if (i >= 0 && i < size()) return;
    throw UsageError(fmt::format("sample {} was asked of {}, which holds samples 0 to {}", i,
                                 split_.images->path().string(), size() - 1));
  }

  IdxSplit split_;
  PixelTables tables_;
  const std::uint8_t* pixels_;  // [size, height, width], of split_.images
  const std::uint8_t* labels_;  // [size], of split_.labels
  std::size_t image_size_;
};

std::shared_ptr<const IdxFile> OpenIdxFile(const std::filesystem::path& dir, const char* name, IdxKind kind) {
  const std::optional<std::filesystem::path> path = FindIdxFile(dir, name);
  if (!path) throw DataError(fmt::format("{}: no such file, nor one with .gz", (dir / name).string()));
  return std::make_shared<const IdxFile>(*path, kind);
}

IdxSplit OpenIdxSplit(const std::filesystem::path& dir, const char* images_name, const char* labels_name) {
  IdxSplit split{OpenIdxFile(dir, images_name, IdxKind::kImages),
                 OpenIdxFile(dir, labels_name, IdxKind::kLabels)};
  if (split.images->count() != split.labels->count()) {
    throw DataError(fmt::format("{} holds {} images, but {} holds {} labels", split.images->path().string(),
                                split.images->count(), split.labels->path().string(), split.labels->count()));
  }
  return split;
}

}  // namespace

struct IdxFile::Header {
  std::uint64_t count;
  std::uint64_t height;
  std::uint64_t width;
  std::uint64_t num_values() const { return count * height * width; }
};

IdxFile::IdxFile(std::filesystem::path path, IdxKind kind) : path_(std::move(path)) {
  mapped_ = std::make_unique<MappedFile>(path_);
  if (IsGzip(mapped_->data(), mapped_->size())) {
    ReadGzip(kind);
  } else {
    ReadRaw(kind);
  }
}

IdxFile::Header IdxFile::ParseHeader(const std::uint8_t* bytes, std::size_t size, IdxKind kind) const {
  if (size < HeaderSize(kind)) {
    throw DataError(fmt::format("{}: truncated: {} bytes, and the header of an IDX file of {} alone has {}",
                                path_.string(), size, What(kind), HeaderSize(kind)));
  }
  const std::uint32_t magic = BigEndian32(bytes);
  if (magic != Magic(kind)) {
    throw DataError(fmt::format("{}: not an IDX file of {}: its magic number is 0x{:08x}, expected 0x{:08x}",
                                path_.string(), What(kind), magic, Magic(kind)));
  }
  Header header{BigEndian32(bytes + 4), 1, 1};
  if (header.count == 0) throw DataError(fmt::format("{}: holds no {}", path_.string(), What(kind)));
  if (kind == IdxKind::kLabels) return header;
  header.height = BigEndian32(bytes + 8);
  header.width = BigEndian32(bytes + 12);
  if (std::min(header.height, header.width) < 1 || std::max(header.height, header.width) > kMaxSide) {
    throw DataError(fmt::format("{}: implausible dimensions: {} images of {} x {}; a side has 1 to {} pixels",
                                path_.string(), header.count, header.height, header.width, kMaxSide));
  }
  return header;
}

void IdxFile::ReadRaw(IdxKind kind) {
  const Header header = ParseHeader(mapped_->data(), mapped_->size(), kind);
  const std::uint64_t found = mapped_->size() - HeaderSize(kind);
  const std::uint64_t expected = header.num_values();
  if (found != expected) {
    throw DataError(fmt::format("{}: {}: {} x {} x {} {} take {} bytes after the header, found {}",
                                path_.string(), found < expected ? "truncated" : "trailing bytes",
                                header.count, header.height, header.width, What(kind), expected, found));
  }
  count_ = static_cast<std::int64_t>(header.count);
  height_ = static_cast<std::int64_t>(header.height);
  width_ = static_cast<std::int64_t>(header.width);
  values_ = mapped_->data() + HeaderSize(kind);
}

void IdxFile::ReadGzip(IdxKind kind) {
  GzipReader reader(mapped_->data(), mapped_->size(), path_.string());
  std::array<std::uint8_t, kMaxHeaderSize> bytes;
  const Header header = ParseHeader(bytes.data(), reader.Read(bytes.data(), HeaderSize(kind)), kind);
  const std::uint64_t expected = header.num_values();
  const auto truncated = [&](const std::string& found) {
    return DataError(fmt::format("{}: truncated: {} x {} x {} {} take {} bytes after the header, {}",
                                 path_.string(), header.count, header.height, header.width, What(kind),
                                 expected, found));
  };
  // Before memory is set aside: a few damaged bytes of a header can ask for all there is.
  if (expected / kMaxGzipRatio > mapped_->size()) {
    throw truncated(fmt::format("more than {} compressed bytes can hold", mapped_->size()));
  }
  inflated_.resize(static_cast<std::size_t>(expected));
  const std::size_t found = reader.Read(inflated_.data(), inflated_.size());
  if (found < expected) throw truncated(fmt::format("found {}", found));
  std::uint8_t beyond;
  if (reader.Read(&beyond, 1) != 0) {
    throw DataError(
        fmt::format("{}: trailing bytes: {} x {} x {} {} take {} bytes after the header, found more",
                    path_.string(), header.count, header.height, header.width, What(kind), expected));
  }
  count_ = static_cast<std::int64_t>(header.count);
  height_ = static_cast<std::int64_t>(header.height);
  width_ = static_cast<std::int64_t>(header.width);
  values_ = inflated_.data();
  mapped_.reset();
}

std::optional<std::filesystem::path> FindIdxFile(const std::filesystem::path& dir, const std::string& name) {
  std::string dotted = name;
  const std::size_t dash = name.rfind("-idx");
  if (dash != std::string::npos) dotted[dash] = '.';
  for (const std::string& candidate : {name, dotted, name + ".gz", dotted + ".gz"}) {
    std::error_code ignored;  // what cannot be looked at is not there
    if (std::filesystem::exists(dir / candidate, ignored)) return dir / candidate;
  }
  return std::nullopt;
}

IdxDirectory ReadIdxDirectory(const std::filesystem::path& dir) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(dir, ignored)) {
    throw DataError(fmt::format("{}: no such directory", dir.string()));
  }
  IdxDirectory directory{OpenIdxSplit(dir, kIdxTrainImages, kIdxTrainLabels),
                         OpenIdxSplit(dir, kIdxTestImages, kIdxTestLabels)};
  const IdxFile& train = *directory.train.images;
  const IdxFile& test = *directory.test.images;
  if (train.height() != test.height() || train.width() != test.width()) {
    throw DataError(fmt::format("{} holds images of {} x {}, but {} of {} x {}", train.path().string(),
                                train.height(), train.width(), test.path().string(), test.height(),
                                test.width()));
  }
  return directory;
}

void CheckLabels(const IdxFile& labels, std::int64_t num_classes) {
  const std::uint8_t* end = labels.values() + labels.count();
  const std::uint8_t* wrong =
      std::find_if(labels.values(), end, [=](std::uint8_t label) { return label >= num_classes; });
  if (wrong == end) return;
  throw DataError(fmt::format("{}: label {} of sample {} is out of range: the classes are 0 to {}",
                              labels.path().string(), *wrong, wrong - labels.values(), num_classes - 1));
}

std::int64_t CountClasses(const IdxFile& labels) {
  std::array<bool, 256> occurs{};
  for (std::int64_t i = 0; i < labels.count(); ++i) occurs[labels.values()[i]] = true;
  std::int64_t num_classes = 256;
  while (!occurs[static_cast<std::size_t>(num_classes - 1)]) --num_classes;
  const auto gap = std::find(occurs.begin(), occurs.begin() + num_classes, false);
  if (gap != occurs.begin() + num_classes) {
    throw DataError(fmt::format(
        "{}: no sample has label {}, yet there is label {}: number the classes from 0 without a gap",
        labels.path().string(), gap - occurs.begin(), num_classes - 1));
  }
  return num_classes;
}

Normalization ComputeNormalization(const IdxFile& images) {
  std::array<std::uint64_t, 256> histogram{};
  const std::uint8_t* end = images.values() + images.count() * images.height() * images.width();
  for (const std::uint8_t* pixel = images.values(); pixel != end; ++pixel) ++histogram[*pixel];

  const double num_pixels = static_cast<double>(end - images.values());
  double mean = 0;
  for (std::size_t value = 0; value < 256; ++value) {
    mean += static_cast<double>(histogram[value]) * static_cast<double>(value) / 255.0;
  }
  mean /= num_pixels;
  double variance = 0;
  for (std::size_t value = 0; value < 256; ++value) {
    const double deviation = static_cast<double>(value) / 255.0 - mean;
    variance += static_cast<double>(histogram[value]) * deviation * deviation;
  }
  variance /= num_pixels;
  if (*std::max_element(histogram.begin(), histogram.end()) == static_cast<std::uint64_t>(num_pixels)) {
    throw DataError(fmt::format("{}: every pixel of every image is {}: there is nothing to learn from",
                                images.path().string(), images.values()[0]));
  }
  return {{static_cast<float>(mean)}, {static_cast<float>(std::sqrt(variance))}};
}

std::shared_ptr<const ImageSet> MakeImageSet(IdxSplit split, const Normalization& normalization) {
  return std::make_shared<const IdxImageSet>(std::move(split), normalization);
}

}  // namespace swarmsync
