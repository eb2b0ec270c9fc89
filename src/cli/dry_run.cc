#include "cli/dry_run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <fstream>

namespace swarmsync {
namespace {

std::string Megabytes(double bytes) { return fmt::format("{:.1f} MB", bytes / 1e6); }

std::string Count(std::int64_t number, const char* what) {
  return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
}

std::string Line(const char* what, const std::string& value) {
  return fmt::format("{:<10} {}\n", what, value);
}

std::string Workers(const TrainConfig& config) {
  const bool processes = config.backend == Backend::kProcesses;
  std::string text = processes ? fmt::format("{} process{}", config.workers, config.workers == 1 ? "" : "es")
                               : Count(config.workers, "thread");
  text += fmt::format(" on {}, {} each", config.device, Count(config.threads_per_worker, "CPU thread"));
  if (config.group_size > 1)
    text +=
        fmt::format(", in {} of {}", Count(config.workers / config.group_size, "group"), config.group_size);
  if (config.link.emulated()) text += ", over an emulated link of " + ToString(config.link);
  return text;
}

std::string Exchanges(const TrainConfig& config, const RunPlan& plan) {
  std::string text;
  const auto add = [&](std::int64_t number, const char* what) {
    if (number > 0) text += fmt::format("{}{}", text.empty() ? "" : ", ", Count(number, what));
  };
  add(plan.gradient_exchanges, "exchange");
  if (plan.gradient_exchanges > 0) text += " of gradients";
  add(plan.rounds, "round");
  if (plan.rounds > 0) {
    text += fmt::format(" of {} {}", Count(config.period, "step"),
                        config.period_by_lr > 0 ? "on average" : "at most");
  }
  add(plan.group_averages, "average");
  if (plan.group_averages > 0) text += " within a group";
  return text;
}

std::string Bytes(const RunPlan& plan) {
  const auto bytes = [](double number) {
    return fmt::format("{:.0f} bytes ({})", std::round(number), Megabytes(number));
  };
  if (std::round(plan.least_bytes) == std::round(plan.most_bytes)) return bytes(plan.most_bytes);
  return fmt::format("{} to {}, by how often there is a new guide", bytes(plan.least_bytes),
                     bytes(plan.most_bytes));
}

}  // namespace

std::string DescribePlan(const TrainConfig& config, const RunPlan& plan, std::int64_t program_bytes) {
  std::string text;
  text += Line("training", fmt::format("{} ({} parameters) on {} with {}", config.model, plan.parameters,
                                       config.dataset, config.sync));
  text += Line("workers", Workers(config));
  text += Line("data", fmt::format("{} training samples, {} a worker; {} held out; {} for the test",
                                   plan.train_samples, plan.samples_per_worker, plan.validation_samples,
                                   plan.test_samples));
  text += Line("length", fmt::format("{} of {} samples a worker, {} to an epoch: {:g} epochs",
                                     Count(plan.total_steps, "step"), config.batch_size, plan.steps_per_epoch,
                                     std::round(100.0 * static_cast<double>(plan.total_steps) /
                                                static_cast<double>(plan.steps_per_epoch)) /
                                         100));
  text += Line("exchanges", Exchanges(config, plan));
  text += Line("sent", Bytes(plan) + ", by each worker");
  const MemoryPlan& memory = plan.memory;
  text +=
      Line("memory",
           fmt::format("{} of tensors in each worker{}:", Megabytes(static_cast<double>(memory.of_tensors())),
                       config.device == "cpu" ? "" : ", as it would be on the CPU"));
  const auto part = [&](std::int64_t bytes, const char* what) {
    if (bytes > 0) text += fmt::format("{:>21}  {}\n", Megabytes(static_cast<double>(bytes)), what);
  };
  part(memory.model, "weights, gradients, buffers");
  part(memory.optimizer, "the optimizer's state");
  part(memory.synchronizer, "the synchronizer's state, and what an exchange needs");
  part(memory.transport, "what arrives of a sum");
  part(memory.trainer, "mini-batches read ahead, models that are evaluated");
  part(memory.step, "forward and backward");
  part(memory.evaluation, "or an evaluation, at another time");
  text += Line("", "and beside:");
  part(memory.data, "images, which workers of a host share where the files are not compressed");
  part(program_bytes, config.backend == Backend::kProcesses ? "the program and its libraries, in each process"
                                                            : "the program and its libraries");
  return text + Line("results", config.out);
}

std::int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t all = 0, resident = 0;
  if (!(file >> all >> resident)) return 0;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace swarmsync
