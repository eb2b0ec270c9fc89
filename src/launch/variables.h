#pragma once

#include <string>

namespace swarmsync {

// The whole number that an environment variable holds. Throws UsageError.
int ParseInteger(const std::string& name, const std::string& text, int least, int most);

}  // namespace swarmsync
