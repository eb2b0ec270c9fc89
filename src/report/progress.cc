#include "swarmsync/report/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "base/print.h"
#include "swarmsync/base/clock.h"

namespace swarmsync {
namespace {

constexpr double kBarSeconds = 0.1;  // between two drawings of the bar
constexpr double kPlainSeconds = 5;  // between two plain lines

std::string FormatDuration(double seconds) {
  if (!(std::abs(seconds) < 1e15)) return "?";  // NaN too
  const std::int64_t whole = std::llround(std::max(0.0, seconds));
  if (whole >= 3600) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
  if (whole >= 60) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}s", whole);
}

double Fraction(const Progress& progress) {
  if (progress.total_steps <= 0) return 0;
  return std::clamp(static_cast<double>(progress.step) / static_cast<double>(progress.total_steps), 0.0, 1.0);
}

int Columns(std::FILE* stream) {
  winsize size{};
  return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string WithColoredBar(std::string line, std::FILE* stream) {
  const std::size_t begin = line.find('#'), end = line.find_first_not_of('#', begin);
  if (begin == std::string::npos) return line;
  return line.replace(begin, end - begin, Colored(line.substr(begin, end - begin), Color::kGreen, stream));
}

}  // namespace

std::string FormatPlain(const Progress& progress) {
  return fmt::format(
      "epoch {:.2f}/{:g}  step {}/{}  loss {:.4f}  {:.0f} samples/s  exchange+wait {:.1f} %  left {}",
      progress.epoch, progress.epochs, progress.step, progress.total_steps, progress.loss,
      progress.samples_per_second, 100 * progress.exchange_share, FormatDuration(progress.seconds_left));
}

std::string FormatBar(const Progress& progress, int columns) {
  const std::string facts = fmt::format(
      " {:3.0f} %  epoch {:.1f}/{:g}  loss {:.4f}  {:.0f} samples/s  exchange+wait {:.1f} %  {} left",
      100 * Fraction(progress), progress.epoch, progress.epochs, progress.loss, progress.samples_per_second,
      100 * progress.exchange_share, FormatDuration(progress.seconds_left));
  const int room = std::min(30, columns - 3 - static_cast<int>(facts.size()));
  if (room < 5) return facts.substr(1, static_cast<std::size_t>(std::max(1, columns - 1)));
  const auto filled = static_cast<std::size_t>(Fraction(progress) * room);
  return "[" + std::string(filled, '#') + std::string(static_cast<std::size_t>(room) - filled, '.') + "]" +
         facts;
}

ProgressPrinter::ProgressPrinter(std::FILE* stream, ProgressStyle style) : stream_(stream), style_(style) {
  if (style_ == ProgressStyle::kAuto) {
    style_ = isatty(fileno(stream)) != 0 ? ProgressStyle::kBar : ProgressStyle::kPlain;
  }
}

void ProgressPrinter::Show(const Progress& progress) {
  if (style_ == ProgressStyle::kNone) return;
  const bool last = progress.step == progress.total_steps;
  const double now = MonotonicSeconds();
  if (!last && now - last_shown_ < (style_ == ProgressStyle::kBar ? kBarSeconds : kPlainSeconds)) return;
  last_shown_ = now;
  if (style_ == ProgressStyle::kPlain) {
    PrintText(stream_, FormatPlain(progress) + "\n");
  } else {
    const std::string bar = FormatBar(progress, Columns(stream_));
    // Overwrites all of a longer line.
    PrintText(stream_, "\r" + WithColoredBar(fmt::format("{:<{}}", bar, bar_width_), stream_));
    bar_width_ = bar.size();
  }
}

void ProgressPrinter::Note(const std::string& line) {
  if (style_ == ProgressStyle::kNone) return;
  PrintText(stream_, fmt::format("{}{:<{}}\n", bar_width_ > 0 ? "\r" : "", line, bar_width_));
  bar_width_ = 0;
}

void ProgressPrinter::Finish() {
  if (bar_width_ > 0) PrintText(stream_, "\n");
  bar_width_ = 0;
}

}  // namespace swarmsync
