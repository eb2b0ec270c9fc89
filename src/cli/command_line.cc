#include "swarmsync/cli/command_line.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <malloc.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <new>

#include "base/print.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/line_of.h"
#include "cli/manual.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

int PrintError(const std::string& message, int exit_code) {
  SayError(message);
  return exit_code;
}

// A training step frees and takes the same megabytes again and again. By default glibc gives them back to the
// system in between, and the kernel clears them anew: some 15 % of a step of LeNet-5 (docs/speed.md).
void KeepFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

// Runs an action and turns whatever it throws into one line and an exit code.
int Guarded(const Action& action, const CommandContext& context, const bool& verbose) {
  constexpr int kFailed = static_cast<int>(ExitCode::kRunFailed);
  try {
    return action();
  } catch (const Error& error) {
    const bool usage = error.exit_code() == ExitCode::kUsage;
    const std::string line = LineOf(error);
    return PrintError(usage ? WithPlace(line, context.given.places) : line,
                      static_cast<int>(error.exit_code()));
  } catch (const Interrupted& interrupted) {
    return PrintError(interrupted.what(), 128 + interrupted.signal());
  } catch (const std::bad_alloc& error) {
    return PrintError(LineOf(error), kFailed);
  } catch (const std::exception& error) {
    return PrintError(verbose ? error.what() : LineOf(error), kFailed);
  }
}

}  // namespace

int RunCommandLine(int argc, const char* const* argv, const ModelRegistry& models, const Connector& mpi) {
  CommandContext context{models, mpi, MonotonicSeconds(), {}};
  KeepFreedMemory();
  signal(SIGPIPE, SIG_IGN);  // a reader that has gone is an error of write(), not the end

  CLI::App tool("SwarmSync trains one neural network on many workers that talk rarely.", "swarmsync");
  tool.set_version_flag("--version", std::string("swarmsync ") + SWARMSYNC_VERSION,
                        "Print the version and exit");
  tool.set_help_flag("-h,--help", "Print this help and exit");
  std::string codes;
  for (const Fact& code : kExitCodes)
    codes += fmt::format("{}{} {}", codes.empty() ? "" : ", ", code.name, code.meaning);
  tool.footer(fmt::format("`swarmsync COMMAND --help` explains a command.\nExit codes: {}.", codes));
  bool verbose = false;
  tool.add_flag("--verbose", verbose, "Print all of an error, with its stack trace where there is one");
  tool.require_subcommand(1);
  tool.fallthrough();
  tool.option_defaults()->always_capture_default(false);

  Action run;
  AddTrainCommand(tool, context, run);
  AddWorkerCommand(tool, context, run);
  AddCompareCommand(tool, context, run);
  AddEvaluateCommand(tool, context, run);
  AddExportCommand(tool, context, run);
  AddDataCommand(tool, context, run);
  AddBenchCommand(tool, context, run);
  AddInfoCommand(tool, context, run);
  AddCompletionCommand(tool, context, run);
  AddManCommand(tool, context, run);

  int printed = -1;  // the exit code when parsing was all there was to do
  const Action parse = [&] {
    context.given = ExpandArguments({argv + 1, argv + argc}, tool);
    const std::vector<std::string>& arguments = context.given.arguments;
    try {
      std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
      tool.parse(reversed);
    } catch (const CLI::Success& help_or_version) {
      printed = tool.exit(help_or_version);
    } catch (const CLI::ParseError& error) {
      throw Explain(error, tool, arguments);
    }
    return 0;
  };
  const int parsed = Guarded(parse, context, verbose);
  if (parsed != 0 || printed >= 0) return parsed != 0 ? parsed : printed;
  return Guarded(run, context, verbose);
}

}  // namespace swarmsync
