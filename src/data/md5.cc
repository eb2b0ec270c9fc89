#include "data/md5.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include "swarmsync/base/error.h"

namespace swarmsync {

std::string Md5Hex(const void* bytes, std::size_t size) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int digest_size = 0;
  if (EVP_Digest(bytes, size, digest, &digest_size, EVP_md5(), nullptr) != 1) {
    throw RunError("cannot compute an MD5 checksum: OpenSSL refuses it here (a FIPS configuration does)");
  }
  std::string hex;
  for (unsigned int i = 0; i < digest_size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace swarmsync
