#include "base/print.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace swarmsync {
namespace {

std::string_view Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

void PrintText(std::FILE* stream, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

void Say(const std::string& message) { PrintText(stderr, "swarmsync: " + message + "\n"); }

void SayWarning(const std::string& warning) {
  Say(Colored("warning:", Color::kYellow, stderr) + " " + warning);
}

void SayError(const std::string& error) {
  // Names out of files are in it, and may be meant to do something to a terminal.
  std::string line = error;
  for (char& c : line) {
    if ((static_cast<unsigned char>(c) < ' ' && c != '\n') || c == '\x7f') c = '?';
  }
  PrintText(stderr, Colored("swarmsync:", Color::kRed, stderr) + " " + line + "\n");
}

bool IsScreen(std::FILE* stream) {
  const std::string_view terminal = Variable("TERM");
  return isatty(fileno(stream)) != 0 && !terminal.empty() && terminal != "dumb";
}

std::string Colored(const std::string& text, Color color, std::FILE* stream) {
  if (!IsScreen(stream) || !Variable("NO_COLOR").empty()) return text;
  return fmt::format("\033[{}m{}\033[0m", static_cast<int>(color), text);
}

}  // namespace swarmsync
