#pragma once

#include <cstddef>
#include <string>

namespace swarmsync {

// 32 lower-case hexadecimal digits. It guards against damage, and is what publishers of data sets state; it
// is not a signature. Throws RunError where the system forbids MD5.
std::string Md5Hex(const void* bytes, std::size_t size);

}  // namespace swarmsync
