#include "swarmsync/sync/options.h"

#include <fmt/format.h>

#include <cmath>

#include "swarmsync/base/error.h"

namespace swarmsync {

namespace {

void Require(bool holds, const char* name, double value, const std::string& allowed) {
  if (!holds) throw UsageError(fmt::format("{} is {}; it must be {}", name, value, allowed));
}

}  // namespace

void Validate(const PeerOptions& o, int workers) {
  Require(o.elastic_alpha >= 0 && o.elastic_alpha * workers < 2, "elastic-alpha", o.elastic_alpha,
          fmt::format("at least 0 (0: 0.9 / workers) and below 2 / workers, that is {:g}", 2.0 / workers));
  Require(o.slow_alpha > 0 && std::isfinite(o.slow_alpha), "slow-alpha", o.slow_alpha, "above 0");
  const double slow_beta = o.slow_beta.value_or(0);
  Require(slow_beta >= 0 && slow_beta < 1, "slow-beta", slow_beta, "at least 0 and below 1");
  Require(o.outer_lr > 0 && std::isfinite(o.outer_lr), "outer-lr", o.outer_lr, "above 0");
  Require(o.outer_momentum >= 0 && o.outer_momentum < 1, "outer-momentum", o.outer_momentum,
          "at least 0 and below 1");
}

// At 1000 even the round before the last hardly counts.
void ValidateFinalAverage(double power) {
  Require(power >= 0 && power <= 1000, "final-average", power, "from 0 to 1000");
}

}  // namespace swarmsync
