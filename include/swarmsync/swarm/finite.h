#pragma once

#include <cstdint>

namespace swarmsync {

// Whether none of the numbers is infinite or NaN. One pass over memory. Pure.
bool AllFinite(const float* values, std::int64_t size);

}  // namespace swarmsync
