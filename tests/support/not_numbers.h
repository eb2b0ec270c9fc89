#pragma once

#include <limits>

namespace swarmsync::testing {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace swarmsync::testing
