#include "data/image_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <system_error>
#include <utility>

#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kEveryTenth = 10;

struct ImageFile {
  fs::path path;
  std::int64_t label;
};

// The decoded images of one split, one after another.
class DecodedImages : public ByteImages {
 public:
  DecodedImages(std::string name, ImageExtent extent) : name_(std::move(name)), extent_(extent) {}

  void Add(const RgbImage& image, std::int64_t label) {
    const std::size_t begin = pixels_.size();
    pixels_.resize(begin + static_cast<std::size_t>(shape().num_pixels()));
    ToPlanes(image.pixels.data(), extent_.height * extent_.width, pixels_.data() + begin);
    labels_.push_back(label);
  }

  ImageShape shape() const override { return {3, extent_.height, extent_.width}; }
  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }
  const std::uint8_t* pixels(std::int64_t i) const override {
    return pixels_.data() + i * shape().num_pixels();
  }
  std::int64_t label(std::int64_t i) const override { return labels_[static_cast<std::size_t>(i)]; }
  std::string images_name() const override { return name_; }

 private:
  std::string name_;
  ImageExtent extent_;
  std::vector<std::uint8_t> pixels_;  // [size, 3, height, width]
  std::vector<std::int64_t> labels_;
};

bool IsDirectory(const fs::path& path) {
  std::error_code ignored;  // what cannot be looked at is not there
  return fs::is_directory(path, ignored);
}

bool HasImageName(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg";
}

// The paths in a directory for which keep(path) holds, by name.
template <class Keep>
std::vector<fs::path> SortedPaths(const fs::path& dir, Keep keep) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator item(dir, error), end; !error && item != end; item.increment(error)) {
    if (item->path().filename().string().front() != '.' && keep(item->path())) paths.push_back(item->path());
  }
  if (error) throw DataError(fmt::format("{}: cannot be read: {}", dir.string(), error.message()));
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::vector<std::string> ClassesIn(const fs::path& dir) {
  std::vector<std::string> names;
  for (const fs::path& path : SortedPaths(dir, IsDirectory)) names.push_back(path.filename().string());
  if (names.empty()) {
    throw DataError(fmt::format("{}: no class folders; put the images of each class into a folder of its own",
                                dir.string()));
  }
  return names;
}

std::vector<ImageFile> FilesIn(const fs::path& dir, const std::vector<std::string>& classes) {
  std::vector<ImageFile> files;
  for (std::size_t label = 0; label < classes.size(); ++label) {
    const std::size_t before = files.size();
    for (const fs::path& path : SortedPaths(dir / classes[label], HasImageName)) {
      files.push_back({path, static_cast<std::int64_t>(label)});
    }
    if (files.size() > before) continue;
    throw DataError(fmt::format("{}: an empty class: it has no .png, .jpg or .jpeg file",
                                (dir / classes[label]).string()));
  }
  return files;
}

// The size that most of the images have, the smallest of these.
ImageExtent MostFrequentExtent(const std::vector<ImageFile>& files, const fs::path& dir) {
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> counts;
  for (const ImageFile& file : files) {
    try {
      const MappedFile mapped(file.path);
      const ImageExtent extent = PeekImage(mapped.data(), mapped.size(), file.path.string());
      ++counts[{extent.height, extent.width}];
    } catch (const DataError&) {  // told when it is decoded
    }
  }
  const auto most = std::max_element(counts.begin(), counts.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == counts.end()) throw DataError(fmt::format("{}: no image can be read", dir.string()));
  return {most->first.first, most->first.second};
}

// What the files that can be read show, at one size.
std::shared_ptr<const ByteImages> Decode(const std::vector<ImageFile>& files, const fs::path& dir,
                                         ImageExtent extent, std::vector<std::string>& skipped) {
  const auto images = std::make_shared<DecodedImages>(dir.string(), extent);
  for (const ImageFile& file : files) {
    try {
      const MappedFile mapped(file.path);
      RgbImage image = DecodeImage(mapped.data(), mapped.size(), file.path.string());
      const bool fits = image.extent.height == extent.height && image.extent.width == extent.width;
      images->Add(fits ? image : Resize(image, extent), file.label);
    } catch (const DataError& error) {
      skipped.push_back(error.what());
    }
  }
  return images;
}

// Throws DataError for a class of which no file could be read.
void RequireEveryClass(const ByteImages& images, const fs::path& dir, const ImageFolder& folder) {
  std::vector<bool> has_images(folder.classes.size());
  for (std::int64_t i = 0; i < images.size(); ++i)
    has_images[static_cast<std::size_t>(images.label(i))] = true;
  const auto bare = std::find(has_images.begin(), has_images.end(), false);
  if (bare == has_images.end()) return;
  const std::string& name = folder.classes[static_cast<std::size_t>(bare - has_images.begin())];
  throw DataError(fmt::format("{}: an empty class: none of its files can be read ({})", (dir / name).string(),
                              fmt::join(folder.skipped, "; ")));
}

struct SplitFiles {
  fs::path train_dir, test_dir;
  std::vector<ImageFile> train, test;
};

SplitFiles SplitOfFolders(const fs::path& dir, const std::vector<std::string>& classes) {
  SplitFiles split;
  split.train_dir = dir / "train";
  split.test_dir = IsDirectory(dir / "test") ? dir / "test" : dir / "val";
  if (!IsDirectory(split.test_dir)) {
    throw DataError(
        fmt::format("{} has a folder 'train' and neither 'test' nor 'val'; add one, with the same "
                    "class folders",
                    dir.string()));
  }
  const std::vector<std::string> in_test = ClassesIn(split.test_dir);
  if (in_test != classes) {
    throw DataError(fmt::format("{} has the classes {}, but {} has {}", split.train_dir.string(),
                                fmt::join(classes, ", "), split.test_dir.string(), fmt::join(in_test, ", ")));
  }
  split.train = FilesIn(split.train_dir, classes);
  split.test = FilesIn(split.test_dir, classes);
  return split;
}

SplitFiles SplitEveryTenth(const fs::path& dir, const std::vector<std::string>& classes) {
  SplitFiles split;
  split.train_dir = split.test_dir = dir;
  std::size_t in_class = 0;
  std::int64_t label = -1;
  for (ImageFile& file : FilesIn(dir, classes)) {
    if (std::exchange(label, file.label) != file.label) in_class = 0;
    (++in_class % kEveryTenth == 0 ? split.test : split.train).push_back(std::move(file));
  }
  if (split.test.empty()) {
    throw DataError(
        fmt::format("{}: no class has {} images, so none is left for the test; make folders 'train' "
                    "and 'test' in it",
                    dir.string(), kEveryTenth));
  }
  return split;
}

}  // namespace

ImageFolder ReadImageFolder(const fs::path& dir, std::optional<ImageExtent> extent) {
  if (!IsDirectory(dir)) throw DataError(fmt::format("{}: no such directory", dir.string()));
  const bool has_splits = IsDirectory(dir / "train");
  ImageFolder folder;
  folder.classes = ClassesIn(has_splits ? dir / "train" : dir);
  const SplitFiles split =
      has_splits ? SplitOfFolders(dir, folder.classes) : SplitEveryTenth(dir, folder.classes);
  if (!extent) extent = MostFrequentExtent(split.train, split.train_dir);
  folder.train = Decode(split.train, split.train_dir, *extent, folder.skipped);
  RequireEveryClass(*folder.train, split.train_dir, folder);
  folder.test = Decode(split.test, split.test_dir, *extent, folder.skipped);
  if (has_splits) RequireEveryClass(*folder.test, split.test_dir, folder);
  return folder;
}

}  // namespace swarmsync
