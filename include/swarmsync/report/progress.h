#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "swarmsync/base/names.h"

namespace swarmsync {

// Where a training stands.
struct Progress {
  std::int64_t step = 0;         // steps that a worker has made
  std::int64_t total_steps = 0;  // in all
  double epoch = 0;              // epochs done, with their fraction
  double epochs = 0;             // in all
  double loss = 0;  // mean mini-batch loss of the worker that tells, since the last record of the loss
  double samples_per_second = 0;  // of all workers, evaluation apart
  double exchange_share = 0;      // 0-1, of the time so far, spent in exchanges and in waiting for them
  double seconds_left = 0;        // estimated by the pace so far, evaluation included
};

// How progress is shown: a line that is redrawn, lines, or nothing; `auto` is a bar on a terminal, else
// lines.
enum class ProgressStyle { kAuto, kBar, kPlain, kNone };

template <>
struct EnumNames<ProgressStyle> {
  static constexpr std::string_view kWhat = "progress style";
  static constexpr std::array<std::pair<ProgressStyle, std::string_view>, 4> kNames{
      {{ProgressStyle::kAuto, "auto"},
       {ProgressStyle::kBar, "bar"},
       {ProgressStyle::kPlain, "plain"},
       {ProgressStyle::kNone, "none"}}};
};

// Shows progress on a stream. Not thread-safe. Borrows the stream.
class ProgressPrinter {
 public:
  // style: kAuto becomes what suits the stream as it is now.
  ProgressPrinter(std::FILE* stream, ProgressStyle style);

  // Shows it, if the last one was shown some time ago (a bar: 0.1 s, lines: 5 s) or this is of the last step.
  void Show(const Progress& progress);

  // A line of its own between two reports. Not shown with ProgressStyle::kNone.
  void Note(const std::string& line);

  // Ends the bar's line. Call it before anything else writes to the stream.
  void Finish();

 private:
  std::FILE* stream_;
  ProgressStyle style_;
  std::size_t bar_width_ = 0;  // of what stands on the bar's line
  double last_shown_ = 0;
};

// The text of a bar with facts, or where there is no room for it of facts alone, in less than `columns`.
// Pure.
std::string FormatBar(const Progress& progress, int columns);
// The text of a plain line, without its end. Pure.
std::string FormatPlain(const Progress& progress);

}  // namespace swarmsync
