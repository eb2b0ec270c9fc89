#pragma once

#include <map>
#include <string>
#include <vector>

#include "swarmsync/base/error.h"

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace swarmsync {

// What the tool was told.
struct GivenArguments {
  std::vector<std::string> arguments;
  std::map<std::string, std::string> places;  // of the flags that a file says: "run.toml, line 3"
};

// The arguments with underscores in flags' names made dashes, and, for a command that has --config, with what
// is in that file put in front of the flags, so that a flag overrides the file. Throws UsageError for a file
// that cannot be used.
GivenArguments ExpandArguments(std::vector<std::string> arguments, const CLI::App& tool);

// A message, with where the flag that it is about stands, if that is in a file.
std::string WithPlace(const std::string& message, const std::map<std::string, std::string>& places);

// The one line for arguments that do not parse, with the nearest flag or command where something is unknown.
UsageError Explain(const CLI::ParseError& error, const CLI::App& tool,
                   const std::vector<std::string>& arguments);

}  // namespace swarmsync
