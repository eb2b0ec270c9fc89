#include "swarmsync/comm/communicator.h"

#include <algorithm>
#include <cstring>

namespace swarmsync {

std::vector<double> Communicator::AllGather(const std::vector<double>& values) {
  std::vector<double> all(values.size() * size());
  AllGatherBytes(values.data(), values.size() * sizeof(double), all.data());
  return all;
}

std::vector<std::string> Communicator::AllGather(const std::string& text) {
  const std::vector<double> lengths = AllGather(static_cast<double>(text.size()));
  const auto longest = static_cast<std::size_t>(*std::max_element(lengths.begin(), lengths.end()));
  std::string padded = text;
  padded.resize(longest);
  std::string all(longest * size(), '\0');
  AllGatherBytes(padded.data(), longest, all.data());
  std::vector<std::string> texts;
  for (int rank = 0; rank < size(); ++rank) {
    texts.push_back(all.substr(rank * longest, static_cast<std::size_t>(lengths[rank])));
  }
  return texts;
}

std::vector<int> Communicator::RanksOfColor(int color) {
  const std::vector<double> colors = AllGather(static_cast<double>(color));
  std::vector<int> ranks;
  for (int rank = 0; rank < size(); ++rank) {
    if (colors[static_cast<std::size_t>(rank)] == color) ranks.push_back(rank);
  }
  return ranks;
}

Communicator::Part Communicator::SplitOff(Communicator& whole, int color, double patience,
                                          int ranks_per_host) {
  const std::vector<int> ranks = whole.RanksOfColor(color);
  const bool on_one_host = std::all_of(ranks.begin(), ranks.end(), [&](int rank) {
    return rank / ranks_per_host == ranks.front() / ranks_per_host;
  });
  return {whole.Split(color, patience), on_one_host};
}

}  // namespace swarmsync
