#include "swarmsync/swarm/options.h"

#include <fmt/format.h>

#include "base/numbers.h"

namespace swarmsync {
namespace {

void Require(bool holds, const char* name, double value, const char* allowed) {
  if (!holds) throw UsageError(fmt::format("{} is {}; it must be {}", name, value, allowed));
}

constexpr std::string_view kAuto = "auto";

}  // namespace

Inertia Inertia::Auto() {
  Inertia inertia;
  inertia.adapts_ = true;
  return inertia;
}

Inertia ParseInertia(std::string_view text) {
  if (text == kAuto) return Inertia::Auto();
  const std::size_t colon = text.find(':');
  const auto begin = ParseNumber(text.substr(0, colon));
  const auto end = colon == std::string_view::npos ? begin : ParseNumber(text.substr(colon + 1));
  if (begin && end) return {*begin, *end};
  throw UsageError(fmt::format(
      "'{}'; it must be a number of at least 0 and below 1, two such numbers FROM:TO, or auto", text));
}

std::string ToString(const Inertia& inertia) {
  if (inertia.is_open()) return "";
  if (inertia.adapts()) return std::string(kAuto);
  if (inertia.changes()) return fmt::format("{}:{}", inertia.from(), inertia.to());
  return fmt::format("{}", inertia.value());
}

void Validate(const PsoOptions& options) {
  if (!options.inertia.is_open() && !options.inertia.adapts()) {
    for (const double inertia : {options.inertia.from(), options.inertia.to()})
      Require(inertia >= 0 && inertia < 1, "inertia", inertia, "at least 0 and below 1");
  }
  const double social = options.social.value_or(0);
  Require(options.cognitive >= 0 && options.cognitive <= 4, "cognitive", options.cognitive, "from 0 to 4");
  Require(social >= 0 && social <= 4, "social", social, "from 0 to 4");
  Require(options.beta >= 0 && options.beta <= 1e6, "beta", options.beta, "from 0 to 1000000");
  Require(options.memory_decay >= 0 && options.memory_decay <= 1, "memory-decay", options.memory_decay,
          "from 0 to 1");
  if (options.guide == Guide::kRandom && options.memory != Memory::kCurrent) {
    throw UsageError(fmt::format(
        "guide is random and memory is {}; memory must be current, for there is no best to remember",
        ToString(options.memory)));
  }
}

std::vector<std::string> Warnings(const PsoOptions& options) {
  std::vector<std::string> warnings;
  if (options.memory == Memory::kCurrent && options.cognitive != 0) {
    warnings.push_back(
        fmt::format("cognitive is {} and does nothing with memory 'current', where a worker's own best "
                    "is where it stands; take memory 'historic' or 'decay'",
                    options.cognitive));
  }
  return warnings;
}

}  // namespace swarmsync
