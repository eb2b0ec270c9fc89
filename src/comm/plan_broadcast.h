#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace swarmsync {

// Large messages travel in pieces, each of which goes on while the next one comes. Smaller ones cost more
// changes of threads than they win.
constexpr std::size_t kPieceBytes = 4 << 20, kLeastPieceBytes = 256 << 10;
constexpr std::size_t kSmallBytes = 1 << 20;  // that a rank may send several times over

// How a message goes from one rank to all others.
enum class BroadcastRoute {
  kStar,   // from the root to each: the least latency, while it is small
  kTree,   // down a binomial tree
  kChain,  // from each rank to the next, in pieces: for a long message, which then takes little more time
           // than it takes to one rank
};

// Of a message that goes along a chain: enough for all ranks to be at work.
inline std::int64_t PiecesOf(int ranks, std::size_t bytes) {
  const std::size_t piece =
      std::clamp(bytes / (4 * static_cast<std::size_t>(ranks)), kLeastPieceBytes, kPieceBytes);
  return static_cast<std::int64_t>((bytes + piece - 1) / piece);
}

// Pure.
inline BroadcastRoute RouteOf(int ranks, std::size_t bytes) {
  if (static_cast<std::size_t>(ranks) * bytes <= kSmallBytes) return BroadcastRoute::kStar;
  const std::int64_t pieces = PiecesOf(ranks, bytes);
  return pieces > 1 && pieces >= ranks - 1 ? BroadcastRoute::kChain : BroadcastRoute::kTree;
}

}  // namespace swarmsync
