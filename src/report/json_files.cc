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

}  // namespace swarmsync
