#include "report/json_files.h"

#include "swarmsync/base/file.h"

namespace swarmsync {

void WriteJson(const std::filesystem::path& path, const nlohmann::ordered_json& content) {
  WriteFileAtomically(path, content.dump(2) + "\n");
}

}  // namespace swarmsync
