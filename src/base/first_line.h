#pragma once

#include <string>

namespace swarmsync {

// What libraries say, without the traces that follow.
inline std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace swarmsync
