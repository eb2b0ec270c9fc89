#pragma once

#include <cstddef>
#include <string>

namespace swarmsync {

// Lower-case hexadecimal digits, 32 and 64 of them. They guard against damage and are no signature. Throw
// RunError where the system forbids the function.
std::string Md5Hex(const void* bytes, std::size_t size);  // what publishers of data sets state
std::string Sha256Hex(const void* bytes, std::size_t size);

// The 32 bytes of HMAC-SHA-256 (RFC 2104): only who knows the key can make them.
std::string HmacSha256(const std::string& key, const std::string& text);

// Whether they are equal, in a time that does not tell where they differ.
bool SameSecret(const std::string& a, const std::string& b);

// As many bytes that nobody can guess, from the system. Throws RunError.
std::string RandomBytes(std::size_t size);

}  // namespace swarmsync
