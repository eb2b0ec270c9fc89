#pragma once

#include <cstdio>
#include <string>

namespace swarmsync {

// Prints what only a person reads, as far as the stream takes it: a log on a full disk must not end what it
// is about.
void PrintText(std::FILE* stream, const std::string& text);

// A line of this program's own on standard error; about what stops nothing; about what ended the program.
void Say(const std::string& message);
void SayWarning(const std::string& warning);
void SayError(const std::string& error);

// Whether the stream is a terminal that knows escape sequences.
bool IsScreen(std::FILE* stream);

enum class Color { kRed = 31, kGreen = 32, kYellow = 33 };

// The text in that color where the stream is such a terminal, unless NO_COLOR (no-color.org) is set.
std::string Colored(const std::string& text, Color color, std::FILE* stream);

}  // namespace swarmsync
