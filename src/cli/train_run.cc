#include "cli/train_run.h"

#include <fmt/format.h>

#include <chrono>

#include "base/subprocess.h"
#include "report/run_report.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostExchanges = 30;  // records of a run that are kept for the report
constexpr std::size_t kMostEpochs = 100;
constexpr std::chrono::hours kLongestRun{24 * 30};

// The last line that a program wrote, without what is before its name; empty if there is none.
std::string LastLine(const fs::path& log) {
  const std::string text = ReadFile(log);
  const std::size_t end = text.find_last_not_of('\n');
  if (end == std::string::npos) return "";
  const std::size_t begin = text.rfind('\n', end) + 1;  // npos + 1 is 0
  const std::string line = text.substr(begin, end - begin + 1);
  const std::string prefix = "swarmsync: ";
  return line.rfind(prefix, 0) == 0 ? line.substr(prefix.size()) : line;
}

std::string WhyItFailed(const SubprocessResult& result, const fs::path& log) {
  const std::string said = LastLine(log);
  if (result.kind == SubprocessResult::Kind::kExited && !said.empty()) return said;
  const std::string how = result.kind == SubprocessResult::Kind::kSignalled
                              ? Interrupted(result.code).what()
                              : fmt::format("ended with code {}", result.code);
  return fmt::format("{}; {}", how, said.empty() ? "it said nothing" : "it said last: " + said);
}

// What the report draws of an exchange; all of it would make the store ten times as large.
nlohmann::ordered_json Slim(const nlohmann::ordered_json& exchanges) {
  auto slim = nlohmann::ordered_json::array();
  for (const auto& exchange : exchanges) {
    slim.push_back(
        {{"step", exchange.at("step")}, {"epoch", exchange.at("epoch")}, {"spread", exchange.at("spread")}});
  }
  return slim;
}

// What chooses a setting shall not even be able to see it.
void ForgetTheTestSet(RunRecord& record) {
  for (const char* key : {"test_accuracy", "test_loss"}) record.result.erase(key);
  for (auto& epoch : record.epochs) epoch.erase("test");
}

}  // namespace

RunRecord MakeRun(const PlannedRun& run, const fs::path& directory, const std::function<void()>& on_wait) {
  fs::create_directories(directory);
  const RunFiles files{directory / "run"};
  SubprocessOptions options;
  options.arguments = {fs::read_symlink("/proc/self/exe").string(), "train", "--quiet",
                       "--out=" + files.directory.string()};
  for (const auto& [flag, value] : run.flags)
    options.arguments.push_back(fmt::format("--{}={}", flag, value));
  options.working_directory = fs::current_path();
  options.output = directory / "log";
  options.timeout = kLongestRun;
  options.on_wait = on_wait;
  const SubprocessResult result = RunSubprocess(options);
  on_wait();  // what ends us, such as Ctrl-C, has ended it too

  RunRecord record;
  record.stage = run.stage;
  record.flags = run.flags;
  record.failed = result.kind != SubprocessResult::Kind::kExited || result.code != 0;
  if (record.failed) {
    record.message = WhyItFailed(result, options.output);
  } else {
    record.result = nlohmann::ordered_json::parse(ReadFile(files.summary()));
    const Metrics metrics(files);
    record.epochs = metrics.Of("epoch", kMostEpochs);
    if (run.stage == Stage::kFinal) {
      record.exchanges = Slim(metrics.Of("exchange", kMostExchanges));
    } else {
      ForgetTheTestSet(record);
    }
  }
  fs::remove_all(directory);
  return record;
}

}  // namespace swarmsync
