#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace swarmsync {

// Writes pretty JSON, whole or not at all. Numbers that are not finite become null.
void WriteJson(const std::filesystem::path& path, const nlohmann::ordered_json& content);

// Appends records to a file, one JSON object a line; each is on its way to the disk when Append() returns.
// Not thread-safe. Throws RunError.
class JsonLines {
 public:
  explicit JsonLines(const std::filesystem::path& path);
  void Append(const nlohmann::ordered_json& record);

  std::uintmax_t size() const;          // of the file, in bytes
  void ShortenTo(std::uintmax_t size);  // forgets what was written behind; a shorter file stays

 private:
  std::filesystem::path path_;
  std::ofstream stream_;
};

}  // namespace swarmsync
