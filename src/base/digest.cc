#include "base/digest.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

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

std::string HmacSha256(const std::string& key, const std::string& text) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size) == nullptr) {
    throw RunError("cannot compute an HMAC: OpenSSL refuses it here");
  }
  return {reinterpret_cast<const char*>(mac), size};
}

bool SameSecret(const std::string& a, const std::string& b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string RandomBytes(std::size_t size) {
  std::string bytes(size, '\0');
  if (getentropy(bytes.data(), size) != 0) throw RunError("the system gives no random bytes");
  return bytes;
}

}  // namespace swarmsync
