#pragma once

#include <string>
#include <vector>

#include "swarmsync/base/error.h"

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace swarmsync {

// The arguments with underscores in flags' names made dashes, and with what --config FILE says put in front
// of the flags of the command, so that a flag overrides the file. Throws UsageError for a file that cannot be
// used.
std::vector<std::string> ExpandArguments(std::vector<std::string> arguments);

// The one line for arguments that do not parse, with the nearest flag or command where something is unknown.
UsageError Explain(const CLI::ParseError& error, const CLI::App& tool,
                   const std::vector<std::string>& arguments);

}  // namespace swarmsync
