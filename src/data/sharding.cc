#include "swarmsync/data/sharding.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/numbers.h"
#include "data/shuffle.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

constexpr std::string_view kIid = "iid", kLabelSkew = "label-skew:";
constexpr double kLeastAlpha = 1e-3, kGreatestAlpha = 1e6;
enum ShardRound : std::uint32_t { kMixRound = 0, kClassRound = 1, kOrderRound = 2 };

// Uniform in (0, 1).
double OpenUniform(PhiloxStream& stream) { return (stream.NextWord() + 0.5) * 0x1p-32; }

double Normal(PhiloxStream& stream) {  // Box and Muller
  const double radius = std::sqrt(-2 * std::log(OpenUniform(stream)));
  return radius * std::cos(2 * M_PI * OpenUniform(stream));
}

// The logarithm of a draw from Gamma(shape, 1), by Marsaglia and Tsang (2000). A logarithm, because with a
// small shape the draw itself is often too small for a double.
double LogGamma(double shape, PhiloxStream& stream) {
  if (shape < 1) {
    const double log_uniform = std::log(OpenUniform(stream));
    return LogGamma(shape + 1, stream) + log_uniform / shape;
  }
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = Normal(stream);
    const double v = std::pow(1 + c * x, 3);
    if (v <= 0) continue;
    if (std::log(OpenUniform(stream)) < 0.5 * x * x + d - d * v + d * std::log(v)) return std::log(d * v);
  }
}

// [classes], with the sum 1.
std::vector<double> Dirichlet(std::size_t classes, double alpha, PhiloxStream stream) {
  std::vector<double> draw(classes);
  for (double& value : draw) value = LogGamma(alpha, stream);
  const double greatest = *std::max_element(draw.begin(), draw.end());
  for (double& value : draw) value = std::exp(value - greatest);
  const double sum = std::accumulate(draw.begin(), draw.end(), 0.0);
  for (double& value : draw) value /= sum;
  return draw;
}

// Draws a class that has samples left; evenly when the worker wants none of them.
std::size_t DrawClass(const std::vector<double>& mix, const std::vector<std::vector<std::int64_t>>& left,
                      PhiloxStream& stream) {
  std::vector<double> wanted(mix.size());
  for (std::size_t c = 0; c < mix.size(); ++c) wanted[c] = left[c].empty() ? 0 : mix[c];
  double sum = std::accumulate(wanted.begin(), wanted.end(), 0.0);
  if (sum <= 0) {
    for (std::size_t c = 0; c < mix.size(); ++c) wanted[c] = left[c].empty() ? 0 : 1;
    sum = std::accumulate(wanted.begin(), wanted.end(), 0.0);
  }
  double at = OpenUniform(stream) * sum;
  std::size_t last = 0;
  for (std::size_t c = 0; c < wanted.size(); ++c) {
    if (wanted[c] <= 0) continue;
    last = c;
    at -= wanted[c];
    if (at < 0) break;
  }
  return last;
}

}  // namespace

Sharding ParseSharding(std::string_view text) {
  if (text == kIid) return {};
  if (text.substr(0, kLabelSkew.size()) == kLabelSkew) {
    const auto alpha = ParseNumber(text.substr(kLabelSkew.size()));
    if (alpha && *alpha >= kLeastAlpha && *alpha <= kGreatestAlpha) return {*alpha};
  }
  throw UsageError(
      fmt::format("'{}'; it must be iid, or label-skew:ALPHA with a number from 0.001 to 1000000", text));
}

std::string ToString(const Sharding& sharding) {
  return sharding.skew_alpha > 0 ? fmt::format("{}{}", kLabelSkew, sharding.skew_alpha) : std::string(kIid);
}

std::vector<std::vector<std::int64_t>> ShardByLabel(const ImageSet& set,
                                                    const std::vector<std::int64_t>& sample_ids,
                                                    std::int64_t num_classes, std::int64_t workers,
                                                    double alpha, std::uint64_t seed) {
  if (workers < 1)
    throw UsageError(fmt::format("the number of workers is {}; it must be at least 1", workers));
  const std::size_t share = sample_ids.size() / static_cast<std::size_t>(workers);
  if (share == 0) {
    throw UsageError(fmt::format("{} workers, but only {} training samples: lower the workers to at most {}",
                                 workers, sample_ids.size(), sample_ids.size()));
  }
  const Philox philox(seed);
  const auto stream = [&](std::uint32_t round, std::size_t rank) {
    return PhiloxStream(philox, round, static_cast<std::uint32_t>(rank), RandomPurpose::kShard);
  };

  std::vector<std::vector<std::int64_t>> left(static_cast<std::size_t>(num_classes));
  for (const std::int64_t id : sample_ids) left[static_cast<std::size_t>(set.label(id))].push_back(id);
  for (std::size_t c = 0; c < left.size(); ++c) Shuffle(left[c], stream(kOrderRound, c));

  std::vector<std::vector<std::int64_t>> shards(static_cast<std::size_t>(workers));
  std::vector<std::vector<double>> mixes;
  std::vector<PhiloxStream> draws;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    mixes.push_back(Dirichlet(left.size(), alpha, stream(kMixRound, i)));
    draws.push_back(stream(kClassRound, i));
  }
  for (std::size_t taken = 0; taken < share; ++taken) {
    for (std::size_t i = 0; i < shards.size(); ++i) {
      std::vector<std::int64_t>& source = left[DrawClass(mixes[i], left, draws[i])];
      shards[i].push_back(source.back());
      source.pop_back();
    }
  }
  for (auto& shard : shards) std::sort(shard.begin(), shard.end());
  return shards;
}

}  // namespace swarmsync
