#include "report/json_files.h"

#include <fmt/format.h>

#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

namespace swarmsync {

void WriteJson(const std::filesystem::path& path, const nlohmann::ordered_json& content) {
  WriteFileAtomically(path, content.dump(2) + "\n");
}

JsonLines::JsonLines(const std::filesystem::path& path) : path_(path), stream_(path, std::ios::app) {
  if (!stream_) throw RunError(fmt::format("cannot write {}", path.string()));
}

void JsonLines::Append(const nlohmann::ordered_json& record) {
  stream_ << record.dump() << '\n' << std::flush;
  if (!stream_) throw RunError(fmt::format("cannot write {}; is the disk full?", path_.string()));
}

std::uintmax_t JsonLines::size() const { return std::filesystem::file_size(path_); }

void JsonLines::ShortenTo(std::uintmax_t size) {
  std::error_code error;
  if (this->size() > size) std::filesystem::resize_file(path_, size, error);
  if (error) throw RunError(fmt::format("cannot shorten {}: {}", path_.string(), error.message()));
}

}  // namespace swarmsync
