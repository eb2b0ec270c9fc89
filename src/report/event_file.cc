// TensorBoard's files of events: for each event, all little-endian,
//   8 bytes: its length   4: masked CRC-32C of these   the event   4: masked CRC-32C of the event
// The messages (tensorboard/compat/proto: event, summary, tensor) are written field by field with protozero,
// which has headers only: libtorch brings a libprotobuf along, or has one inside, that another would have to
// get along with.

#include "report/event_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <protozero/pbf_writer.hpp>

#include "swarmsync/report/run_files.h"

namespace swarmsync {
namespace {

using protozero::pbf_writer;

// Fields, by message.
namespace event {
enum : protozero::pbf_tag_type { kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7 };
}
namespace summary {
enum : protozero::pbf_tag_type { kValue = 1 };
}
namespace value {
enum : protozero::pbf_tag_type { kTag = 1, kSimpleValue = 2, kTensor = 8, kMetadata = 9 };
}
namespace metadata {
enum : protozero::pbf_tag_type { kPluginData = 1 };
}
namespace plugin_data {
enum : protozero::pbf_tag_type { kPluginName = 1, kContent = 2 };
}
namespace tensor {
enum : protozero::pbf_tag_type { kType = 1, kShape = 2, kStringValue = 8 };
constexpr std::int32_t kTypeString = 7;
}  // namespace tensor
namespace shape {
enum : protozero::pbf_tag_type { kDimension = 2, kSize = 1 };
}
namespace session_log {
enum : protozero::pbf_tag_type { kStatus = 1 };
constexpr std::int32_t kStart = 1;
}  // namespace session_log

constexpr std::array<std::uint32_t, 256> MakeCrcTable() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) * 0x82F63B78u);
    table[i] = crc;
  }
  return table;
}

// A checksum of bytes that hold checksums would be weak.
std::uint32_t Masked(std::uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u; }

template <class T>
std::string LittleEndian(T number) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof number; ++i) bytes += static_cast<char>(number >> (8 * i));
  return bytes;
}

// "events.out.tfevents.<second>.<host>.<pid>", of a second that no other file in the directory has.
std::filesystem::path NewName(const std::filesystem::path& directory) {
  auto second = static_cast<std::int64_t>(UnixSeconds());
  for (const std::filesystem::path& other : RunFiles{directory}.events()) {
    const std::string rest = other.filename().string().substr(std::strlen(kEventsPrefix));
    second = std::max<std::int64_t>(second, std::strtoll(rest.c_str(), nullptr, 10) + 1);
  }
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return directory / fmt::format("{}{:010}.{}.{}", kEventsPrefix, second, host.data(), getpid());
}

// An event of a step; `fill` adds what it is about.
template <class Fill>
std::string Event(std::int64_t step, Fill fill) {
  std::string bytes;
  pbf_writer writer(bytes);
  writer.add_double(event::kWallTime, UnixSeconds());
  writer.add_int64(event::kStep, step);
  fill(writer);
  return bytes;
}

void AddPlugin(pbf_writer& to, std::string_view name, std::string_view content) {
  pbf_writer meta(to, value::kMetadata);
  pbf_writer plugin(meta, metadata::kPluginData);
  plugin.add_string(plugin_data::kPluginName, name.data(), name.size());
  plugin.add_bytes(plugin_data::kContent, content.data(), content.size());
}

}  // namespace

double UnixSeconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::uint32_t Crc32c(std::string_view bytes) {
  static constexpr std::array<std::uint32_t, 256> kTable = MakeCrcTable();
  std::uint32_t crc = ~0u;
  for (const char byte : bytes) crc = kTable[(crc ^ static_cast<std::uint8_t>(byte)) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

EventFile::EventFile(const std::filesystem::path& directory) : file_(NewName(directory)) {
  Append(Event(0, [](pbf_writer& writer) { writer.add_string(event::kFileVersion, "brain.Event:2"); }));
}

void EventFile::Append(std::string_view event) {
  const std::string length = LittleEndian(static_cast<std::uint64_t>(event.size()));
  std::string record = length + LittleEndian(Masked(Crc32c(length)));
  record += event;
  record += LittleEndian(Masked(Crc32c(event)));
  file_.Append(record);
}

void EventFile::Scalars(std::int64_t step, const std::vector<std::pair<std::string, double>>& values) {
  Append(Event(step, [&](pbf_writer& writer) {
    pbf_writer all(writer, event::kSummary);
    for (const auto& [tag, number] : values) {
      pbf_writer one(all, summary::kValue);
      one.add_string(value::kTag, tag);
      one.add_float(value::kSimpleValue, static_cast<float>(number));
    }
  }));
}

void EventFile::Text(std::string_view tag, std::int64_t step, std::string_view markdown) {
  Append(Event(step, [&](pbf_writer& writer) {
    pbf_writer all(writer, event::kSummary);
    pbf_writer one(all, summary::kValue);
    one.add_string(value::kTag, tag.data(), tag.size());
    {
      pbf_writer content(one, value::kTensor);
      content.add_enum(tensor::kType, tensor::kTypeString);
      {
        pbf_writer sizes(content, tensor::kShape);
        pbf_writer(sizes, shape::kDimension).add_int64(shape::kSize, 1);
      }
      content.add_bytes(tensor::kStringValue, markdown.data(), markdown.size());
    }
    AddPlugin(one, "text", "");
  }));
}

void EventFile::PluginData(std::string_view tag, std::string_view plugin, std::string_view content) {
  Append(Event(0, [&](pbf_writer& writer) {
    pbf_writer all(writer, event::kSummary);
    pbf_writer one(all, summary::kValue);
    one.add_string(value::kTag, tag.data(), tag.size());
    AddPlugin(one, plugin, content);
  }));
}

void EventFile::GoOnAfter(std::int64_t step) {
  Append(Event(step + 1, [](pbf_writer& writer) {
    pbf_writer(writer, event::kSessionLog).add_enum(session_log::kStatus, session_log::kStart);
  }));
}

}  // namespace swarmsync
