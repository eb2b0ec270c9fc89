#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "report/growing_file.h"

namespace swarmsync {

// Writes pretty JSON, whole or not at all. Numbers that are not finite become null.
void WriteJson(const std::filesystem::path& path, const nlohmann::ordered_json& content);

// Appends records to a file, one JSON object a line; each is on its way to the disk when Append() returns.
// Not thread-safe. Throws RunError.
class JsonLines {
 public:
  explicit JsonLines(const std::filesystem::path& path) : file_(path) {}
  void Append(const nlohmann::ordered_json& record) { file_.Append(record.dump() + '\n'); }

  std::uintmax_t size() const { return file_.size(); }  // of the file, in bytes
  // Forgets what was written behind; a shorter file stays.
  void ShortenTo(std::uintmax_t size) { ShortenFile(file_.path(), size); }

 private:
  GrowingFile file_;
};

}  // namespace swarmsync
