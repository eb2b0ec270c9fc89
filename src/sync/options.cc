#include "swarmsync/sync/options.h"

#include <fmt/format.h>

#include <cmath>

#include "swarmsync/base/error.h"

namespace swarmsync {

void Validate(const PeerOptions& o, int workers) {
  const auto require = [](bool holds, const char* name, double value, const std::string& allowed) {
    if (!holds) throw UsageError(fmt::format("{} is {}; it must be {}", name, value, allowed));
  };
  require(o.elastic_alpha >= 0 && o.elastic_alpha * workers < 2, "elastic-alpha", o.elastic_alpha,
          fmt::format("at least 0 (0: 0.9 / workers) and below 2 / workers, that is {:g}", 2.0 / workers));
  require(o.slow_alpha > 0 && std::isfinite(o.slow_alpha), "slow-alpha", o.slow_alpha, "above 0");
  require(o.slow_beta >= 0 && o.slow_beta < 1, "slow-beta", o.slow_beta, "at least 0 and below 1");
  require(o.outer_lr > 0 && std::isfinite(o.outer_lr), "outer-lr", o.outer_lr, "above 0");
  require(o.outer_momentum >= 0 && o.outer_momentum < 1, "outer-momentum", o.outer_momentum,
          "at least 0 and below 1");
}

}  // namespace swarmsync
