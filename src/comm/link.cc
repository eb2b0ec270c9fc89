#include "swarmsync/comm/link.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <optional>
#include <thread>
#include <utility>

#include "base/numbers.h"
#include "comm/current_stream.h"
#include "comm/plan_broadcast.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

using Units = std::array<std::pair<std::string_view, double>, 3>;  // the largest last
constexpr Units kRates{{{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}}};
constexpr Units kTimes{{{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}}};

std::optional<double> ParseWith(const Units& units, std::string_view text) {
  for (const auto& [unit, factor] : units) {
    if (text.size() <= unit.size() || text.substr(text.size() - unit.size()) != unit) continue;
    if (const auto number = ParseNumber(text.substr(0, text.size() - unit.size()))) return *number * factor;
  }
  return std::nullopt;
}

std::string WriteWith(const Units& units, double value) {
  auto unit = units.begin();
  while (unit + 1 != units.end() && value >= (unit + 1)->second) ++unit;
  return fmt::format("{}{}", value / unit->second, unit->first);
}

}  // namespace

double Link::AllReduceSeconds(int ranks, std::size_t bytes) const {
  return ranks == 1 ? 0 : 2 * (latency_seconds + (ranks - 1) * Transfer(bytes) / ranks);
}

double Link::BroadcastSeconds(int ranks, std::size_t bytes) const {
  if (ranks == 1) return 0;
  const auto pieces = static_cast<double>(PiecesOf(ranks, bytes));
  switch (RouteOf(ranks, bytes)) {
    case BroadcastRoute::kStar:
      return latency_seconds + (ranks - 1) * Transfer(bytes);
    case BroadcastRoute::kTree:
      return std::ceil(std::log2(ranks)) * (latency_seconds + Transfer(bytes));
    case BroadcastRoute::kChain:
      break;
  }
  return (pieces + ranks - 2) * Transfer(bytes) / pieces + (ranks - 1) * latency_seconds;
}

double Link::AllToAllSeconds(int ranks, std::size_t bytes) const {
  return ranks == 1 ? 0 : latency_seconds + (ranks - 1) * Transfer(bytes);
}

double Link::Transfer(std::size_t bytes) const { return 8 * static_cast<double>(bytes) / bits_per_second; }

Link ParseLink(std::string_view text) {
  if (text == "none") return {};
  const std::size_t comma = text.find(',');
  const auto rate = ParseWith(kRates, text.substr(0, comma));
  const auto latency =
      comma == std::string_view::npos ? std::optional<double>(0) : ParseWith(kTimes, text.substr(comma + 1));
  if (rate && latency && *rate >= 1 && *rate <= 1e15 && *latency >= 0 && *latency <= 3600)
    return {*rate, *latency};
  throw UsageError(
      fmt::format("'{}'; it must be none, or a rate and a latency such as 100mbit,20ms (kbit, mbit, gbit; "
                  "us, ms, s)",
                  text));
}

std::string ToString(const Link& link) {
  if (!link.emulated()) return "none";
  const std::string rate = WriteWith(kRates, link.bits_per_second);
  return link.latency_seconds > 0 ? rate + "," + WriteWith(kTimes, link.latency_seconds) : rate;
}

void LinkedCommunicator::AllReduce(const at::Tensor& in, const std::vector<double>& factors,
                                   const at::Tensor& out) {
  Last([&] { return link_.AllReduceSeconds(size(), in.nbytes()); },
       [&] {
         inner_.AllReduce(in, factors, out);
         if (link_.emulated()) WaitForDevice(out);
       });
}

void LinkedCommunicator::Broadcast(const at::Tensor& inout, int root) {
  Last([&] { return link_.BroadcastSeconds(size(), inout.nbytes()); },
       [&] {
         inner_.Broadcast(inout, root);
         if (link_.emulated()) WaitForDevice(inout);
       });
}

void LinkedCommunicator::AllGatherBytes(const void* mine, std::size_t bytes, void* all) {
  Last([&] { return link_.AllToAllSeconds(size(), bytes); },
       [&] { inner_.AllGatherBytes(mine, bytes, all); });
}

void LinkedCommunicator::AllToAllBytes(const void* mine, std::size_t bytes, void* all) {
  Last([&] { return link_.AllToAllSeconds(size(), bytes); }, [&] { inner_.AllToAllBytes(mine, bytes, all); });
}

std::unique_ptr<Communicator> LinkedCommunicator::Split(int color, double patience) {
  auto [group, on_one_host] = SplitOff(inner_, color, patience, ranks_per_host_);
  if (!group) return nullptr;
  auto linked = std::make_unique<LinkedCommunicator>(*group, link_, on_one_host ? group->size() : 1);
  linked->owned_ = std::move(group);
  return linked;
}

template <class Seconds, class Collective>
void LinkedCommunicator::Last(Seconds&& seconds, Collective&& collective) {
  if (!link_.emulated()) return collective();
  inner_.Barrier();
  const double begin = MonotonicSeconds();
  collective();
  const double left = begin + seconds() - MonotonicSeconds();
  if (left > 0) std::this_thread::sleep_for(std::chrono::duration<double>(left));
}

}  // namespace swarmsync
