#pragma once

#include <cstddef>
#include <string>

namespace swarmsync {

// Lower-case hexadecimal digits, 32 and 64 of them. They guard against damage and are no signature. Throw
// RunError where the system forbids the function.
std::string Md5Hex(const void* bytes, std::size_t size);  // what publishers of data sets state
std::string Sha256Hex(const void* bytes, std::size_t size);

}  // namespace swarmsync
