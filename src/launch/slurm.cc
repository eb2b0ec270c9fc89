#include "launch/slurm.h"

#include <charconv>
#include <string_view>

namespace swarmsync {

bool IsStepOfSrun(const std::string& step_id) {
  constexpr std::uint64_t kLast = 0xffff'0000;  // SLURM_BATCH_SCRIPT, SLURM_INTERACTIVE_STEP, … are above
  std::uint64_t step = 0;
  const auto [end, error] = std::from_chars(step_id.data(), step_id.data() + step_id.size(), step);
  return error == std::errc() && end == step_id.data() + step_id.size() && step < kLast;
}

std::string FirstHostOf(const std::string& nodes) {
  std::string host;
  for (std::size_t at = 0; at < nodes.size() && nodes[at] != ','; ++at) {
    if (nodes[at] != '[') {
      host += nodes[at];
      continue;
    }
    const std::size_t end = nodes.find(']', at);
    const std::string numbers = nodes.substr(at + 1, end == std::string::npos ? end : end - at - 1);
    host += numbers.substr(0, numbers.find_first_of(",-"));
    if (end == std::string::npos) break;
    at = end;
  }
  return host;
}

std::optional<int> TasksOnNode(const std::string& tasks_per_node, int node) {
  const char* at = tasks_per_node.data();
  const char* const end = at + tasks_per_node.size();
  const auto number = [&](int& value) {
    const auto [next, error] = std::from_chars(at, end, value);
    at = next;
    return error == std::errc();
  };
  const auto skip = [&](std::string_view text) {
    const bool found =
        std::string_view(at, static_cast<std::size_t>(end - at)).substr(0, text.size()) == text;
    if (found) at += text.size();
    return found;
  };
  for (int tasks = 0, times = 1; number(tasks); times = 1) {
    if (skip("(x") && !(number(times) && skip(")"))) return std::nullopt;
    if (node < times) return tasks;
    node -= times;
    if (!skip(",")) return std::nullopt;
  }
  return std::nullopt;
}

int PortOfStep(std::uint64_t job, std::uint64_t step) {
  // Linux gives ports from 32768 on to whoever asks for any.
  constexpr std::uint64_t kFirst = 10000, kPorts = 20011;  // a prime
  return static_cast<int>(kFirst + (job * 31 + step) % kPorts);
}

}  // namespace swarmsync
