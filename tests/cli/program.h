#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "base/subprocess.h"
#include "cli/tool.h"

// Other programs than the tool, for what they make of what it prints.
namespace swarmsync::testing {

struct ProgramResult {
  int exit_code = -1;  // -1: did not end by itself
  std::string output;  // standard output and error
};

// Runs lines of bash.
inline ProgramResult RunScript(const std::string& script) {
  const PrivateDirectory directory;
  SubprocessOptions options;
  options.arguments = {"bash", "-c", script};
  options.working_directory = directory.path();
  options.output = directory.path() / "output";
  options.timeout = std::chrono::seconds(static_cast<int>(kPatience));
  options.on_wait = [] {};
  const SubprocessResult result = RunSubprocess(options);
  return {result.kind == SubprocessResult::Kind::kExited ? result.code : -1, ReadFile(options.output)};
}

inline bool IsInstalled(const std::string& program) {
  return RunScript("command -v " + program).exit_code == 0;
}

}  // namespace swarmsync::testing
