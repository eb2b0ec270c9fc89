#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "report/growing_file.h"

namespace swarmsync {

// A file of events as TensorBoard reads them: protocol buffers, each framed by its length and checksums.
// Every event has the time at which it was written and is on its way to the disk when its function returns,
// so a reader finds whole events, and at most one that is cut off at the end of a writer that was killed. Not
// thread-safe. Throws RunError.
class EventFile {
 public:
  // Begins a new file in the directory; its name sorts behind those that are there, as TensorBoard goes on
  // from one file to the next.
  explicit EventFile(const std::filesystem::path& directory);

  // Numbers of a step, by their tags: "train/loss".
  void Scalars(std::int64_t step, const std::vector<std::pair<std::string, double>>& values);
  // Markdown, on the page of texts.
  void Text(std::string_view tag, std::int64_t step, std::string_view markdown);
  // What a plugin of TensorBoard's finds under a tag, encoded as it wants it.
  void PluginData(std::string_view tag, std::string_view plugin, std::string_view content);
  // Says that what other files have of steps behind this one is void.
  void GoOnAfter(std::int64_t step);

  const std::filesystem::path& path() const { return file_.path(); }
  std::uintmax_t size() const { return file_.size(); }

 private:
  void Append(std::string_view event);

  GrowingFile file_;
};

// Seconds since 1970, as events have them.
double UnixSeconds();

// CRC-32C (Castagnoli), as iSCSI has it. Pure.
std::uint32_t Crc32c(std::string_view bytes);

}  // namespace swarmsync
