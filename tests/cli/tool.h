#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "data/idx_fixture.h"
#include "support/sanitizers.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/file.h"
#include "swarmsync/report/run_files.h"

// Runs of the real tool, as a user starts it. Header only; no torch.
namespace swarmsync::testing {

using Arguments = std::vector<std::string>;
using Variables = std::map<std::string, std::string>;

// Seconds after which a test gives up on a process; none takes nearly so long.
constexpr double kPatience = kSanitized ? 480 : 120;

inline Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Looks again and again until `holds` does. False when it did not in time.
inline bool WaitUntil(const std::function<bool()>& holds, double seconds = kPatience) {
  const double deadline = MonotonicSeconds() + seconds;
  while (!holds()) {
    if (MonotonicSeconds() > deadline) return false;
    usleep(5000);
  }
  return true;
}

struct ToolResult {
  int exit_code = -1;  // -1: ended by a signal
  int signal = 0;      // that ended it
  std::string out, err;
  double seconds = 0;  // from its start to its end
  double ended = 0;    // MonotonicSeconds()
};

// One process of the tool. It has no standard input; it dies with the test. One thread.
class Tool {
 public:
  // environment: added to the test's own, from which the variables of launchers and of swarmsync are left
  // out. Without CUDA_VISIBLE_DEVICES in it there are no GPUs, so that a test means the same everywhere.
  // launcher: a program that starts the tool, with its own arguments.
  explicit Tool(const Arguments& arguments, const Variables& environment = {}, const Arguments& launcher = {})
      : started_(MonotonicSeconds()) {
    Arguments argv = launcher + Arguments{SWARMSYNC_TOOL} + arguments;
    std::vector<std::string> variables = CleanEnvironment(environment);
    std::vector<char*> argv_pointers = Pointers(argv), variable_pointers = Pointers(variables);
    const std::string out = Output("out"), err = Output("err");
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ == 0) {  // only calls that are safe here
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(126);
      signal(SIGINT, SIG_DFL);
      dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
      dup2(open(out.c_str(), O_WRONLY | O_CREAT, 0600), STDOUT_FILENO);
      dup2(open(err.c_str(), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
      close_range(3, ~0U, 0);
      execve(argv_pointers[0], argv_pointers.data(), variable_pointers.data());
      _exit(126);
    }
    if (pid_ < 0) throw std::runtime_error("cannot fork");
  }
  ~Tool() {
    if (running_) {
      Signal(SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  Tool(const Tool&) = delete;
  Tool& operator=(const Tool&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) const { kill(pid_, signal); }

  bool running() {
    if (running_ && waitpid(pid_, &status_, WNOHANG) == pid_) {
      running_ = false;
      result_.ended = MonotonicSeconds();
      result_.seconds = result_.ended - started_;
      if (WIFEXITED(status_)) result_.exit_code = WEXITSTATUS(status_);
      if (WIFSIGNALED(status_)) result_.signal = WTERMSIG(status_);
      result_.out = ReadFile(Output("out"));
      result_.err = ReadFile(Output("err"));
    }
    return running_;
  }

  // Waits for its end; one that does not end is a failure and is killed.
  const ToolResult& Wait(double seconds = kPatience) {
    if (!WaitUntil([this] { return !running(); }, seconds)) {
      ADD_FAILURE() << "still running after " << seconds << " s: " << ReadFile(Output("err"));
      Signal(SIGKILL);
      WaitUntil([this] { return !running(); });
    }
    return result_;
  }

 private:
  std::string Output(const char* name) const { return directory_.path() / name; }

  static std::vector<std::string> CleanEnvironment(const Variables& added) {
    std::vector<std::string> variables;
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string text = *entry, name = text.substr(0, text.find('='));
      bool keep = added.count(name) == 0;
      for (const char* prefix : {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_", "PMI_", "MPI_", "OMPI_",
                                 "SLURM_", "TORCHELASTIC_", "SWARMSYNC_", "GLOO_", "CUDA_VISIBLE_DEVICES"}) {
        if (name.rfind(prefix, 0) == 0) keep = false;
      }
      if (keep) variables.push_back(text);
    }
    for (const auto& [name, value] : added) variables.push_back(name + "=" + value);
    if (added.count("CUDA_VISIBLE_DEVICES") == 0) variables.push_back("CUDA_VISIBLE_DEVICES=");
    return variables;
  }

  static std::vector<char*> Pointers(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
  }

  PrivateDirectory directory_;
  pid_t pid_ = -1;
  double started_;
  bool running_ = true;
  int status_ = 0;
  ToolResult result_;
};

inline ToolResult RunTool(const Arguments& arguments, const Variables& environment = {}) {
  return Tool(arguments, environment).Wait();
}

// Lines of an error output, without the warnings that depend on the machine (such as a slow BLAS).
inline std::vector<std::string> ErrorLines(const std::string& err) {
  std::vector<std::string> lines;
  std::istringstream text(err);
  for (std::string line; std::getline(text, line);) {
    if (line.rfind("swarmsync: warning: ", 0) != 0) lines.push_back(line);
  }
  return lines;
}

// Expects that the tool ended with a code and with one line that holds all of `parts`.
inline void ExpectOneLine(const ToolResult& result, int exit_code, const std::vector<std::string>& parts) {
  EXPECT_EQ(result.exit_code, exit_code) << "ended by signal " << result.signal << ": " << result.err;
  const std::vector<std::string> lines = ErrorLines(result.err);
  ASSERT_EQ(lines.size(), 1u) << result.err;
  EXPECT_THAT(lines[0], ::testing::StartsWith("swarmsync: "));
  for (const std::string& part : parts) EXPECT_THAT(lines[0], ::testing::HasSubstr(part));
}

inline nlohmann::json ReadJson(const std::filesystem::path& path) {
  return nlohmann::json::parse(ReadFile(path));
}

inline std::vector<nlohmann::json> ReadJsonLines(const std::filesystem::path& path) {
  std::vector<nlohmann::json> records;
  std::istringstream text(ReadFile(path));
  for (std::string line; std::getline(text, line);) records.push_back(nlohmann::json::parse(line));
  return records;
}

// The float32 tensors of a safetensors file, by name.
inline std::map<std::string, std::vector<float>> ReadTensors(const std::filesystem::path& path) {
  const std::string bytes = ReadFile(path);
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  const auto header = nlohmann::json::parse(bytes.substr(sizeof length, length));
  std::map<std::string, std::vector<float>> tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const std::size_t begin = entry.at("data_offsets").at(0), end = entry.at("data_offsets").at(1);
    std::vector<float>& values = tensors[name];
    values.resize((end - begin) / sizeof(float));
    std::memcpy(values.data(), bytes.data() + sizeof length + length + begin, end - begin);
  }
  return tensors;
}

inline double LargestDifference(const std::filesystem::path& a, const std::filesystem::path& b) {
  const auto tensors_a = ReadTensors(a), tensors_b = ReadTensors(b);
  double largest = 0;
  EXPECT_EQ(tensors_a.size(), tensors_b.size());
  for (const auto& [name, values] : tensors_a) {
    const std::vector<float>& others = tensors_b.at(name);
    EXPECT_EQ(values.size(), others.size()) << name;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double difference = std::abs(static_cast<double>(values[i]) - others[i]);
      if (!(difference <= largest)) largest = difference;  // NaN too
    }
  }
  return largest;
}

// A file under /proc; "" when its process is gone, or goes while it is read.
inline std::string ReadProcFile(const std::string& path) {
  std::string text;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  char buffer[4096];
  for (ssize_t count; (count = read(fd, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(count));
  }
  close(fd);
  return text;
}

// 'R', 'S', 'T', …; 0 when there is no such process.
inline char ProcessState(pid_t pid) {
  const std::string text = ReadProcFile(fmt::format("/proc/{}/stat", pid));
  const std::size_t end_of_name = text.rfind(')');
  return end_of_name == std::string::npos || end_of_name + 2 >= text.size() ? '\0' : text[end_of_name + 2];
}

// Whether it has ended; its parent may not have asked yet.
inline bool IsGone(pid_t pid) {
  const char state = ProcessState(pid);
  return state == '\0' || state == 'Z' || state == 'X';
}

// A test with a small data set (200 training and 50 test images of 10 classes) and a place for runs.
class ToolTest : public ::testing::Test {
 protected:
  ToolTest() {
    IdxFixtureOptions options;
    options.train = 200;
    options.test = 50;
    WriteIdxDataset(Path("data"), options);
    std::filesystem::create_directory(Path("tmp"));
  }

  // What the tool puts into the system's temporary directory, it removes.
  void ExpectNothingTemporaryLeft() const {
    EXPECT_TRUE(std::filesystem::is_empty(Path("tmp")))
        << std::filesystem::directory_iterator(Path("tmp"))->path();
  }

  std::filesystem::path Path(const std::string& name) const { return directory_.path() / name; }
  std::string DataFlag() const { return "--dataset=idx:" + Path("data").string(); }
  Variables Environment() const {
    return {{"TMPDIR", Path("tmp").string()}, {"HOME", Path("home").string()}};
  }

  // Arguments of a training that takes a moment. Later flags win.
  Arguments Train(const std::string& out, const Arguments& flags = {}) const {
    return Arguments{"train",
                     DataFlag(),
                     "--model=mlp",
                     "--batch-size=10",
                     "--epochs=2",
                     "--workers=2",
                     "--period=3",
                     "--progress=none",
                     "--threads-per-worker=1",
                     "--timeout=60",
                     "--out=" + Path(out).string()} +
           flags;
  }
  // The same without an end in sight, for runs that shall be interrupted.
  Arguments TrainForLong(const std::string& out, const Arguments& flags = {}) const {
    Arguments arguments = Train(out, Arguments{"--steps=1000000", "--validation=10"} + flags);
    arguments.erase(std::find(arguments.begin(), arguments.end(), "--epochs=2"));
    return arguments;
  }

  ToolResult Run(const Arguments& arguments, Variables environment = {}) const {
    const Variables base = Environment();
    environment.insert(base.begin(), base.end());
    return RunTool(arguments, environment);
  }

  // Runs to the end; anything but success is a failure.
  ToolResult RunWell(const Arguments& arguments) const {
    ToolResult result = Run(arguments);
    EXPECT_EQ(result.exit_code, 0) << "signal " << result.signal << ": " << result.err;
    return result;
  }

  // Waits until a run's workers train; their pids by rank. Empty (and a failure) when it ends before.
  std::vector<pid_t> AwaitWorkers(Tool& tool, const std::string& out) const {
    const std::filesystem::path workers = Path(out) / "workers.json", metrics = Path(out) / "metrics.jsonl";
    std::error_code ignored;
    const bool training = WaitUntil([&] {
      return !tool.running() ||
             (std::filesystem::exists(workers, ignored) && std::filesystem::exists(metrics, ignored) &&
              std::filesystem::file_size(metrics, ignored) > 0);
    });
    if (!training || !tool.running()) {
      ADD_FAILURE() << "the run does not train: " << tool.Wait(0).err;
      return {};
    }
    std::vector<pid_t> pids;
    for (const auto& worker : ReadJson(workers)) pids.push_back(worker.at("pid"));
    return pids;
  }

  static void ExpectAllGone(const std::vector<pid_t>& pids, double seconds = 0) {
    for (const pid_t pid : pids) {
      EXPECT_TRUE(WaitUntil([pid] { return IsGone(pid); }, seconds)) << "process " << pid << " is left";
    }
  }

  // The names in --out that are not of the contract.
  std::vector<std::string> StrangeFiles(const std::string& out) const {
    std::vector<std::string> strange;
    for (const auto& entry : std::filesystem::directory_iterator(Path(out))) {
      const std::string name = entry.path().filename();
      bool known = name.rfind(kEventsPrefix, 0) == 0;
      for (const char* file : {"config.json", "workers.json", "metrics.jsonl", "summary.json",
                               "model.safetensors", "report.html", "logs", "checkpoint", "trace.json"}) {
        known = known || name == file;
      }
      if (!known) strange.push_back(name);
    }
    return strange;
  }

 private:
  PrivateDirectory directory_;
};

}  // namespace swarmsync::testing
