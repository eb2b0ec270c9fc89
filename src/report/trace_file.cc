#include "report/trace_file.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <string_view>

#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFull = 1 << 16;  // bytes that are not kept back any longer
constexpr std::string_view kOpening = "[\n", kSeparator = ",\n";

// Whole lines are left: a worker that was killed may have been in the middle of one.
fs::path PartOf(const RunFiles& files, int worker) {
  const fs::path part = files.trace_part(worker);
  std::error_code error;
  fs::create_directories(part.parent_path(), error);  // if it cannot be made, the file cannot
  if (fs::exists(part, error)) ShortenFile(part, ReadFile(part).rfind('\n') + 1);
  return part;
}

// A number, or null, as JSON has no others.
std::string Number(double number) { return std::isfinite(number) ? fmt::format("{:.9g}", number) : "null"; }

std::string Metadata(int worker, int lane, std::string_view name, std::string_view value) {
  return fmt::format(R"({{"ph":"M","pid":{},"tid":{},"name":"{}","args":{{"name":"{}"}}}})", worker, lane,
                     name, value);
}

}  // namespace

TraceFile::TraceFile(const RunFiles& files, int worker) : worker_(worker), file_(PartOf(files, worker)) {
  if (file_.size() > 0) return;
  unwritten_ = kOpening;
  for (const std::string& line :
       {Metadata(worker, 0, "process_name", fmt::format("worker {}", worker)),
        Metadata(worker, 0, "thread_name", "training"), Metadata(worker, 1, "thread_name", "exchange")}) {
    unwritten_ += line;
    unwritten_ += kSeparator;
  }
  Flush();
}

TraceFile::~TraceFile() {
  try {
    Flush();
  } catch (const RunError&) {
    // Whoever is being destroyed here has failed already, or has flushed.
  }
}

void TraceFile::Add(const TraceSpan& span) {
  const auto out = std::back_inserter(unwritten_);
  fmt::format_to(out, R"({{"ph":"X","pid":{},"tid":{},"ts":{:.3f},"dur":{:.3f},"name":"{}","args":{{)",
                 worker_, static_cast<int>(span.lane), 1e6 * span.begin, 1e6 * (span.end - span.begin),
                 span.name);
  const char* before = "";
  for (const auto& [name, value] : span.arguments) {
    fmt::format_to(out, R"({}"{}":{})", before, name, Number(value));
    before = ",";
  }
  unwritten_ += "}}";
  unwritten_ += kSeparator;
  if (unwritten_.size() > kFull) Flush();
}

void TraceFile::Flush() {
  if (!unwritten_.empty()) file_.Append(unwritten_);
  unwritten_.clear();
}

void MergeTrace(const RunFiles& files) {
  AtomicFile trace(files.trace());
  trace.Write(R"({"displayTimeUnit":"ms","traceEvents":[)");
  std::string_view before = "\n";
  for (const fs::directory_entry& entry : fs::directory_iterator(files.trace_parts())) {
    const MappedFile part(entry.path());
    std::string_view events(reinterpret_cast<const char*>(part.data()), part.size());
    const std::size_t end = events.rfind(kSeparator);  // what is behind was cut off
    if (end == std::string_view::npos) continue;
    trace.Write(before);
    trace.Write(events.substr(kOpening.size(), end - kOpening.size()));
    before = kSeparator;
  }
  trace.Write("\n]}\n");
  trace.Commit();
  fs::remove_all(files.trace_parts());
}

}  // namespace swarmsync
