#include "train/replicas.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

// "checksum name", a line each.
std::string ToText(const std::vector<StateDigest::Piece>& pieces) {
  std::string text;
  for (const auto& [name, checksum] : pieces) text += fmt::format("{} {}\n", checksum, name);
  return text;
}

std::vector<StateDigest::Piece> FromText(const std::string& text) {
  std::vector<StateDigest::Piece> pieces;
  std::istringstream lines(text);
  for (StateDigest::Piece piece; lines >> piece.checksum && std::getline(lines >> std::ws, piece.name);)
    pieces.push_back(piece);
  return pieces;
}

}  // namespace

std::string DescribeMismatch(const std::vector<std::vector<StateDigest::Piece>>& ranks) {
  std::vector<std::string> names;
  for (const auto& pieces : ranks) {
    for (const auto& piece : pieces) {
      if (std::count(names.begin(), names.end(), piece.name) == 0) names.push_back(piece.name);
    }
  }
  for (const std::string& name : names) {
    std::map<std::string, std::vector<std::size_t>> holders;  // by what they hold
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
      std::string held = "nothing";
      for (const auto& piece : ranks[rank]) {
        if (piece.name == name) held = fmt::format("{:08x}", piece.checksum);
      }
      holders[held].push_back(rank);
    }
    if (holders.size() == 1) continue;
    // As many as can be are right; among as many, those with the lowest rank.
    const auto right = std::max_element(holders.begin(), holders.end(), [](const auto& a, const auto& b) {
      return a.second.size() != b.second.size() ? a.second.size() < b.second.size() : a.second > b.second;
    });
    std::set<std::size_t> wrong;
    for (const auto& [held, who] : holders) {
      if (held != right->first) wrong.insert(who.begin(), who.end());
    }
    return fmt::format("'{}' of worker {} differs from that of worker {} (CRC-32 {})", name,
                       fmt::join(wrong, ", "), fmt::join(right->second, ", "), right->first);
  }
  return "";
}

void CompareReplicas(Synchronizer& sync, Communicator& comm) {
  StateDigest digest;
  sync.VisitState(digest);
  std::vector<std::vector<StateDigest::Piece>> ranks;
  for (const std::string& text : comm.AllGather(ToText(digest.pieces()))) ranks.push_back(FromText(text));
  const std::string mismatch = DescribeMismatch(ranks);
  if (mismatch.empty()) return;
  throw RunError(
      fmt::format("the workers are no longer alike at step {}: {}; suspect memory or a library of that "
                  "worker, and go on from a "
                  "checkpoint with --resume",
                  sync.steps(), mismatch));
}

}  // namespace swarmsync
