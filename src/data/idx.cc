#include "swarmsync/data/idx.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

#include "data/gzip.h"
#include "data/idx_images.h"
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

class IdxImages : public ByteImages {
 public:
  explicit IdxImages(IdxSplit split)
      : split_(std::move(split)), image_size_(split_.images->height() * split_.images->width()) {}

  ImageShape shape() const override { return {1, split_.images->height(), split_.images->width()}; }
  std::int64_t size() const override { return split_.images->count(); }
  const std::uint8_t* pixels(std::int64_t i) const override {
    return split_.images->values() + i * image_size_;
  }
  std::int64_t label(std::int64_t i) const override { return split_.labels->values()[i]; }
  std::string images_name() const override { return split_.images->path().string(); }
  std::string labels_name() const override { return split_.labels->path().string(); }

 private:
  IdxSplit split_;
  std::int64_t image_size_;
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

std::shared_ptr<const ByteImages> BytesOf(IdxSplit split) {
  return std::make_shared<const IdxImages>(std::move(split));
}

}  // namespace swarmsync
