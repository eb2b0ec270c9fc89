#include "base/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

std::string HexDigest(const char* name, const EVP_MD* function, const void* bytes, std::size_t size) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int digest_size = 0;
  if (EVP_Digest(bytes, size, digest, &digest_size, function, nullptr) != 1) {
    throw RunError(fmt::format(
        "cannot compute an {} checksum: OpenSSL refuses it here (a FIPS configuration does)", name));
  }
  std::string hex;
  for (unsigned int i = 0; i < digest_size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace

std::string Md5Hex(const void* bytes, std::size_t size) { return HexDigest("MD5", EVP_md5(), bytes, size); }

std::string Sha256Hex(const void* bytes, std::size_t size) {
  return HexDigest("SHA-256", EVP_sha256(), bytes, size);
}

}  // namespace swarmsync
